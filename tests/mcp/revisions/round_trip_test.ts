/** Both translators in a row: what comes out at the end is what a peer of the same revision would have got. */
import { assertEquals } from "@std/assert";
import { type Fields, type Message, META, NEWER_REVISION } from "../../../src/mcp/revisions/messages.ts";
import { NewerClient } from "../../../src/mcp/revisions/newer_client.ts";
import { OlderClient } from "../../../src/mcp/revisions/older_client.ts";

/** The same numbers for the same seed: a failure can be played again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
}

const CAPABILITIES = { elicitation: {}, sampling: {}, roots: {} };
const INFO = { name: "fuzz", version: "1" };
const RUNS = 300;
const CALLS = 12;

type Row = { method: string; params: Fields; result: Fields };

/** Requests with the result of a server that answers with what it was asked. */
function someRequest(pick: (below: number) => number): Row {
  const text = ["", "é ", "a\u2028b", '"quoted"', "x".repeat(pick(40))][pick(5)] ?? "";
  const params: Fields = {
    name: `n${pick(3)}`,
    arguments: { text, number: pick(1000) / 8, deep: { list: [text, null, true] } },
  };
  if (pick(3) === 0) params._meta = { progressToken: pick(2) === 0 ? text : pick(100), "vendor/key": text };
  const uri = `file:///${pick(5)}`;
  const rows: Row[] = [
    {
      method: "tools/call",
      params,
      result: { content: [{ type: "text", text }], structuredContent: { text } },
    },
    { method: "tools/list", params: {}, result: { tools: [{ name: "t", inputSchema: { type: "object" } }] } },
    { method: "prompts/get", params: { name: text }, result: { messages: [], "vendor/x": [text] } },
    { method: "prompts/list", params: {}, result: { prompts: [], nextCursor: text } },
    { method: "resources/read", params: { uri }, result: { contents: [{ uri, text }] } },
    { method: "resources/list", params: { cursor: text }, result: { resources: [] } },
    {
      method: "completion/complete",
      params: { ref: { type: "ref/prompt", name: text } },
      result: { completion: { values: [text] } },
    },
  ];
  return rows[pick(rows.length)] ?? rows[0] as Row;
}

const line = (message: Fields) => ({ jsonrpc: "2.0", ...message }) as Message;

/** An older client, translated to the newer revision and back, in front of an older server that answers `result`. */
class OldNewOld {
  readonly #front = new OlderClient();
  readonly #back: NewerClient;
  /** Requests that reached the server, as it sees them. */
  readonly seen: Message[] = [];
  readonly got: Message[] = [];
  answer: (message: Message & { id: unknown; method: string }) => Message[] = () => [];

  constructor(newHandle: () => string) {
    this.#back = new NewerClient({ clientInfo: INFO, clientCapabilities: CAPABILITIES, newHandle });
  }

  fromClient(message: Message): void {
    this.#pass(this.#front.fromClient(message, Number((message as { id?: unknown }).id ?? 0)));
  }

  fromServer(message: Message): void {
    this.#passBack(this.#back.fromServer(message));
  }

  #pass({ toServer, toClient }: ReturnType<OlderClient["fromClient"]>): void {
    this.got.push(...toClient.map(({ message }) => message));
    for (const message of toServer) {
      this.#passBack(this.#back.fromClient(message, Number((message as { id?: unknown }).id ?? 0)));
    }
  }

  #passBack({ toServer, toClient }: ReturnType<NewerClient["fromClient"]>): void {
    for (const message of toServer) {
      this.seen.push(message);
      if ("method" in message && "id" in message) {
        this.answer(message).forEach((each) => this.fromServer(each));
      }
    }
    for (const { message } of toClient) this.#pass(this.#front.fromServer(message));
  }
}

Deno.test("old → new → old: requests and results come out as they went in", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const pick = random(seed);
    let handles = 0;
    const chain = new OldNewOld(() => `h${++handles}`);
    const pending = new Map<unknown, Row>();
    let asked = 0;
    chain.answer = ({ id, method }) => {
      if (method === "initialize") {
        const result = {
          protocolVersion: "2025-11-25",
          capabilities: { tools: { listChanged: true } },
          serverInfo: INFO,
        };
        return [line({ id, result })];
      }
      const row = pending.get(currentId);
      if (row === undefined) return [line({ id, result: {} })];
      // A question in the middle of some calls: the result follows once it was answered.
      if (["tools/call", "prompts/get", "resources/read"].includes(method) && pick(3) === 0) {
        held.set(`q${++asked}`, { id, row });
        return [
          line({
            id: `q${asked}`,
            method: "elicitation/create",
            params: { message: "?", requestedSchema: {} },
          }),
        ];
      }
      return [line({ id, result: row.result })];
    };
    let currentId: unknown = null;
    const held = new Map<unknown, { id: unknown; row: Row }>();
    chain.fromClient(
      line({
        id: 1,
        method: "initialize",
        params: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES, clientInfo: INFO },
      }),
    );
    chain.fromClient(line({ method: "notifications/initialized" }));
    chain.seen.length = 0;
    chain.got.length = 0;
    for (let n = 0; n < CALLS; n++) {
      const row = someRequest(pick);
      currentId = 100 + n;
      pending.set(currentId, row);
      const before = chain.seen.length;
      chain.fromClient(line({ id: currentId, method: row.method, params: row.params }));
      const sent = chain.seen[before] as { method: string; params?: Fields };
      assertEquals([sent.method, sent.params ?? {}], [row.method, row.params], `seed ${seed}`);
      const question = chain.got.at(-1) as { id: number; method?: string; result?: Fields };
      if (question.method !== undefined) {
        assertEquals(question.method, "elicitation/create", `seed ${seed}`);
        const answer = { action: "accept", content: { n } };
        const answers = chain.seen.length;
        chain.fromClient(line({ id: question.id, result: answer }));
        const given = chain.seen[answers] as { id: unknown; result: unknown };
        assertEquals(given.result, answer, `seed ${seed}`);
        chain.fromServer(line({ id: held.get(given.id)?.id, result: row.result }));
      }
      assertEquals(
        chain.got.at(-1),
        line({ id: currentId, result: row.result }),
        `seed ${seed}, ${row.method}`,
      );
    }
  }
});

Deno.test("new → old → new: requests and results come out as they went in, but for what the older revision has no word for", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const pick = random(seed);
    let handles = 0;
    const front = new NewerClient({
      clientInfo: INFO,
      clientCapabilities: CAPABILITIES,
      newHandle: () => `h${++handles}`,
    });
    const back = new OlderClient();
    const seen: { id: number; method: string; params: Fields }[] = [];
    const got: Message[] = [];
    let row: Row | null = null;
    const toBack = (message: Message) => {
      const { toServer, toClient } = back.fromClient(message, Number((message as { id?: unknown }).id ?? 0));
      toServer.forEach((each) => {
        const { id, method, params } = each as unknown as { id: number; method: string; params: Fields };
        if (id === undefined) return;
        const result = method === "server/discover"
          ? { supportedVersions: [NEWER_REVISION], capabilities: {}, _meta: { [META.serverInfo]: INFO } }
          : row?.result ?? {};
        seen.push({ id, method, params });
        fromServer(line({ id, result: { ...result, resultType: "complete" } }));
      });
      toClient.forEach((each) => toFront(each.message));
    };
    const fromServer = (message: Message) =>
      back.fromServer(message).toClient.forEach((each) => toFront(each.message));
    const toFront = (message: Message) => {
      const { toServer, toClient } = front.fromServer(message);
      got.push(...toClient.map((each) => each.message));
      toServer.forEach(toBack);
    };
    for (let n = 0; n < CALLS; n++) {
      row = someRequest(pick);
      const meta = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: CAPABILITIES };
      const params = { ...row.params, _meta: { ...(row.params._meta as Fields | undefined), ...meta } };
      front.fromClient(line({ id: 100 + n, method: row.method, params }), n).toServer.forEach(toBack);
      const { _meta: sentMeta, ...sent } = seen.at(-1)?.params ?? {};
      const { _meta: ownMeta, ...own } = row.params;
      assertEquals(sent, own, `seed ${seed}`);
      assertEquals(
        sentMeta,
        { ...(ownMeta as Fields | undefined), ...meta, [META.clientInfo]: INFO },
        `seed ${seed}`,
      );
      const { result } = got.at(-1) as unknown as { result: Fields };
      const { ttlMs: _, cacheScope: __, ...plain } = result;
      assertEquals(plain, { ...row.result, resultType: "complete" }, `seed ${seed}, ${row.method}`);
    }
  }
});
