/**
 * Clients pinned to each revision at servers of each, through `foster connect` and through the gateway's address: whatever
 * the two sides speak, all of it works.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Client, type ClientOptions, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { fromFileUrl, join } from "@std/path";
import { type Connected, connectTo, notes, textOf } from "../fixtures/connect_client.ts";
import { unless } from "../skip.ts";
import { Foster, npxReason, until } from "./harness.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const FIXTURES = join(ROOT, "tests", "fixtures");
const EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31";
const noEverything = await npxReason(EVERYTHING);

type Revision = "older" | "newer";
const REVISIONS: readonly Revision[] = ["older", "newer"];
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };
const OPTIONS: Record<Revision, ClientOptions> = {
  older: { capabilities, versionNegotiation: { mode: "legacy" } },
  newer: { capabilities, versionNegotiation: { mode: { pin: "2026-07-28" } } },
};

const script = (name: string, ...args: string[]) => [
  ...["run", "-A", "-q", "--config", join(ROOT, "deno.json")],
  join(FIXTURES, name),
  ...args,
];
const sdk = (...args: string[]) => ({
  command: "deno",
  args: script("revision_server.ts", ...args),
  transport: "stdio",
});
const sdkHttp = (...args: string[]) => ({
  command: "deno",
  args: script("revision_server.ts", "--port=${port}", ...args),
  port: "auto",
  identity: { name: "revisions" },
});
const byHand = (mode: string) => ({
  command: "deno",
  args: ["run", "-A", "-q", "--no-lock", join(FIXTURES, "stdio_server.ts"), mode],
  transport: "stdio",
});

/** Answers whatever a server may ask, and remembers what it was told. */
function listening(told: string[]): (client: Client) => void {
  return (client) => {
    client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "Ada" } }));
    client.setRequestHandler("sampling/createMessage", () => ({
      model: "none",
      role: "assistant",
      content: { type: "text", text: "sampled" },
    }));
    client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///work" }] }));
    for (
      const kind of [
        "notifications/message",
        "notifications/resources/updated",
        "notifications/tools/list_changed",
      ] as const
    ) client.setNotificationHandler(kind, () => void told.push(kind));
  };
}

const call = async (client: Client, name: string, args: Record<string, unknown> = {}) =>
  textOf(await client.callTool({ name, arguments: args }));

/** Every server of this file that is not by hand. */
async function useAll(
  client: Client,
  { told, callsFile }: { told: string[]; callsFile: string },
): Promise<void> {
  const { tools } = await client.listTools();
  assert(tools.some(({ name }) => name === "ask"));
  assertEquals(await call(client, "echo", { text: "grüße\u2028" }), "grüße\u2028");
  assertEquals(await call(client, "ask"), "Hello, Ada");
  const progress: number[] = [];
  await client.callTool({ name: "work", arguments: {} }, {
    onprogress: (step) => void progress.push(step.progress),
  });
  assertEquals(progress, [1, 2, 3]);
  assertEquals((await client.getPrompt({ name: "greet", arguments: { name: "Ada" } })).messages.length, 1);

  const cancel = new AbortController();
  const waiting = client.callTool({ name: "wait", arguments: {} }, { signal: cancel.signal });
  await until("the call to begin", async () => (await notes(callsFile)).includes("wait begins"));
  cancel.abort();
  await assertRejects(() => waiting);
  await until("the server to hear of it", async () => (await notes(callsFile)).includes("wait cancelled"));

  const before = tools.length;
  await call(client, "change");
  await until("the news of the changed list", () => told.includes("notifications/tools/list_changed"));
  assertEquals(
    (await client.listTools(undefined, { cacheMode: "bypass" } as never)).tools.length,
    before + 1,
  );
  const { contents: [first] } = await client.readResource({ uri: "test://thing" });
  assertMatch(String((first as { text: string }).text), /touched \d+ times/);
}

for (const [how, define] of [["stdio", sdk], ["HTTP", sdkHttp]] as const) {
  Deno.test(`an older stdio client uses a new-only server over ${how} through foster connect`, async () => {
    await using foster = await Foster.create();
    const callsFile = join(foster.folder, "calls");
    await foster.define({ docs: define(`--calls-file=${callsFile}`) });
    const told: string[] = [];
    await using connected = await connectTo(foster, ["docs"], { ...OPTIONS.older, prepare: listening(told) });
    const { client } = connected;
    assertEquals(client.getNegotiatedProtocolVersion(), "2025-11-25");
    assertEquals([client.getServerVersion()?.name, client.getInstructions()], ["revisions", "Be kind."]);
    await client.ping();
    await useAll(client, { told, callsFile });
    // What the older revision cannot say is put so that it can.
    const { structuredContent } = await client.callTool({ name: "numbers", arguments: {} });
    assertEquals(structuredContent, { result: [1, 2] });

    await client.subscribeResource({ uri: "test://thing" });
    await call(client, "touch");
    await until("the update of the resource", () => told.includes("notifications/resources/updated"));
    await client.unsubscribeResource({ uri: "test://thing" });
    await client.setLoggingLevel("info");
    await call(client, "log");
    await until("the log message", () => told.includes("notifications/message"));
    assertEquals((await notes(callsFile)).filter((line) => line === "ask begins").length, 1);
    assertEquals([connected.drops(), connected.errors], [0, []]);

    const row = (await foster.run(["status", "docs", "--json"])).row();
    const revisions = row.revisions as { server: string[]; translates: boolean; clients: unknown[] };
    assertEquals([revisions.server, revisions.translates], [["2026-07-28"], true]);
    assertEquals(revisions.clients, [{
      name: "test",
      revision: "2025-11-25",
      translated: true,
      sessions: 1,
    }]);
    const { stdout } = await foster.run(["status", "docs"]);
    assertMatch(stdout, /speaks +MCP 2026-07-28/);
    assertMatch(stdout, /client +test: MCP 2025-11-25, foster translates/);
  });

  Deno.test(`a newer stdio client uses a new-only server over ${how} through foster connect, untranslated`, async () => {
    await using foster = await Foster.create();
    const callsFile = join(foster.folder, "calls");
    await foster.define({ docs: define(`--calls-file=${callsFile}`) });
    const told: string[] = [];
    await using connected = await connectTo(foster, ["docs", "--no-translate"], {
      ...OPTIONS.newer,
      prepare: listening(told),
      listChanged: { tools: { onChanged: () => void told.push("notifications/tools/list_changed") } },
    });
    await useAll(connected.client, { told, callsFile });
    assertEquals([connected.drops(), connected.errors], [0, []]);
    const row = (await foster.run(["status", "docs", "--json"])).row();
    assertEquals((row.revisions as { translates: boolean }).translates, false);
  });
}

Deno.test("foster connect --no-translate refuses where the revisions differ, and says what each side speaks", async () => {
  await using foster = await Foster.create();
  await foster.define({ newer: sdk(), older: byHand("older"), both: sdk("--both") });
  const cases = [
    [
      "newer",
      "older",
      /"newer" speaks MCP 2026-07-28, this client MCP 2025-11-25, and --no-translate forbids/,
    ],
    [
      "older",
      "newer",
      /"older" speaks MCP 2025-11-25.*, this client MCP 2026-07-28, and --no-translate forbids/,
    ],
  ] as const;
  for (const [server, revision, message] of cases) {
    // Also where the other revision is in memory already, by a client that was translated for.
    for (const _ of ["first", "after another client"]) {
      const text = await refusalOf(foster, server, revision);
      assertMatch(text, message);
      await using translated = await connectTo(foster, [server], OPTIONS[revision]);
      assertEquals(await call(translated.client, "echo", { text: "a" }), "a");
    }
  }
  for (const revision of REVISIONS) {
    await using connected = await connectTo(foster, ["both", "--no-translate"], OPTIONS[revision]);
    assertEquals(await call(connected.client, "echo", { text: "a" }), "a");
  }
  const usage = await foster.expect(2, [
    "connect",
    "--no-translate",
    "--config",
    join(foster.cwd, "foster.json"),
  ]);
  assertMatch(usage.stderr, /--no-translate wants a NAME/);
});

/** What a client is told that asks first in its own revision: the official one shows nothing of an answer to its discover. */
async function refusalOf(foster: Foster, server: string, revision: Revision): Promise<string> {
  const running = foster.start(["connect", server, "--no-translate"], { stdin: true });
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
  const message = revision === "older"
    ? { jsonrpc: "2.0", id: 1, method: "initialize", params }
    : { jsonrpc: "2.0", id: 1, method: "server/discover", params: { _meta } };
  await running.write(JSON.stringify(message) + "\n");
  await running.closeInput();
  const { stdout } = await running.finish();
  return JSON.parse(stdout).error.message;
}

/** Through the gateway's own address. */
async function overHttp(
  foster: Foster,
  name: string,
  revision: Revision,
  told: string[] = [],
): Promise<Client> {
  const [{ endpoint } = { endpoint: "" }] = (await foster.expect(0, ["serve", "--detach", "--json"], {
    timeoutMs: 60_000,
  })).json<{ servers: { name: string; endpoint: string }[] }>().servers.filter((each) => each.name === name);
  const token = (await Deno.readTextFile(join(foster.stateDir, "gateway.token"))).trim();
  const client = new Client({ name: "http", version: "1" }, OPTIONS[revision]);
  listening(told)(client);
  const headers = { authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(endpoint), { requestInit: { headers } }));
  return client;
}

Deno.test({
  ...unless(
    noEverything,
    "a new-only client uses server-everything through the gateway, all of its tools included",
  ),
  async fn() {
    await using foster = await Foster.create();
    await foster.define({
      all: { command: "npx", args: ["-y", EVERYTHING], transport: "stdio", ready: { timeout: "120s" } },
    });
    const client = await overHttp(foster, "all", "newer");
    assertEquals(client.getNegotiatedProtocolVersion(), "2026-07-28");
    const { tools } = await client.listTools();
    const seen = await useTools(client, tools);
    assertEquals(seen.filter(({ isError }) => isError), [], "none of them fails");
    const names = tools.map(({ name }) => name);
    for (
      const expected of [
        "trigger-elicitation-request",
        "trigger-sampling-request",
        "get-roots-list",
        "simulate-research-query",
      ]
    ) {
      assert(names.includes(expected), `${expected} is missing: ${names}`);
    }
    const { resources } = await client.listResources();
    for (const { uri } of resources.slice(0, 3)) {
      assert((await client.readResource({ uri })).contents.length > 0);
    }
    const { prompts } = await client.listPrompts();
    for (const { name, arguments: args = [] } of prompts) {
      const given = Object.fromEntries(
        args.map((each) => [each.name, /id$/i.test(each.name) ? "1" : "Text"]),
      );
      await client.getPrompt({ name, arguments: given });
    }
    await client.close();
    const row = (await foster.run(["status", "all", "--json"])).row();
    const revisions = row.revisions as { server: string[]; translates: boolean };
    assertEquals([revisions.server, revisions.translates], [["2025-11-25"], true]);
  },
});

/** Calls each tool with what its schema asks for at least. */
async function useTools(
  client: Client,
  tools: Awaited<ReturnType<Client["listTools"]>>["tools"],
): Promise<{ name: string; isError: boolean; text: string }[]> {
  const seen: { name: string; isError: boolean; text: string }[] = [];
  for (const { name, inputSchema } of tools) {
    const { properties = {}, required = [] } = inputSchema as {
      properties?: Record<string, { type?: string; enum?: unknown[]; default?: unknown }>;
      required?: string[];
    };
    const given = Object.fromEntries(required.map((key) => [key, sampleOf(key, properties[key] ?? {})]));
    if ("duration" in properties) given.duration = 1;
    if ("data" in properties) given.data = sampleOf("data", {});
    try {
      const result = await client.callTool({ name, arguments: given }, { timeout: 30_000 });
      seen.push({ name, isError: result.isError === true, text: JSON.stringify(result).slice(0, 300) });
    } catch (error) {
      seen.push({ name, isError: true, text: String(error) });
    }
  }
  return seen;
}

function sampleOf(
  key: string,
  { type, enum: values, default: usual }: { type?: string; enum?: unknown[]; default?: unknown },
): unknown {
  // One of its tools fetches what it is given.
  if (key === "data") return "data:text/plain;base64,SGk=";
  if (usual !== undefined) return usual;
  if (values !== undefined) return values[0];
  return ({ number: 1, integer: 1, boolean: true, array: [], object: {} } as Record<string, unknown>)[
    type ?? ""
  ] ?? "text";
}

/** Servers by hand that behave as some in the field do. */
for (const mode of ["dies", "silent", "noping", "down"]) {
  for (const revision of REVISIONS) {
    Deno.test(`a client of the ${revision} revision uses a server that is "${mode}", through foster connect`, async () => {
      await using foster = await Foster.create();
      await foster.define({ docs: byHand(mode) });
      await using connected = await connectTo(foster, ["docs"], OPTIONS[revision]);
      await useShortly(connected);
    });
  }
}

async function useShortly({ client, errors, drops }: Connected): Promise<void> {
  if (client.getNegotiatedProtocolVersion() !== "2026-07-28") await client.ping();
  assert((await client.listTools()).tools.some(({ name }) => name === "echo"));
  assertEquals(await call(client, "echo", { text: "é\u2028" }), "é\u2028");
  assertEquals([drops(), errors], [0, []]);
}

for (const revision of REVISIONS) {
  Deno.test(`a client of the ${revision} revision uses the demo and servers of each revision and of both, over HTTP`, async () => {
    await using foster = await Foster.create();
    await foster.define({
      demo: { extends: "demo" },
      both: sdkHttp("--both"),
      own: sdk("--both"),
      newer: sdkHttp(),
      older: sdkHttp("--older"),
    });
    for (const name of ["demo", "both", "own", "newer", "older"]) {
      const told: string[] = [];
      const client = await overHttp(foster, name, revision, told);
      const { tools } = await client.listTools();
      assert(tools.length > 0, name);
      if (name !== "demo") {
        assertEquals(await call(client, "ask"), "Hello, Ada");
        assertEquals(await call(client, "echo", { text: name }), name);
      }
      await client.close();
    }
  });
}

Deno.test("a server that dies of a probe is noticed once, and asked the old way first by the next supervisor", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: byHand("dies") });
  const spawned = async () =>
    (await foster.events(await onlyKey(foster))).filter(({ event }) => event === "spawned").length;
  {
    await using connected = await connectTo(foster, ["docs"], OPTIONS.newer);
    assertEquals(await call(connected.client, "echo", { text: "a" }), "a");
    assertEquals(await spawned(), 2, "one that died of the question, and one that is used");
  }
  await foster.expect(0, ["serve", "--stop"]);
  await using connected = await connectTo(foster, ["docs"], OPTIONS.newer);
  assertEquals(await call(connected.client, "echo", { text: "b" }), "b");
  assertEquals(await spawned(), 3, "the next one was asked the old way first");
});

async function onlyKey(foster: Foster): Promise<string> {
  const keys: string[] = [];
  for await (const { name } of Deno.readDir(join(foster.stateDir, "servers"))) keys.push(name);
  assertEquals(keys.length, 1);
  return keys[0] ?? "";
}

Deno.test("a server that comes back in another revision is found anew, by clients that stay", async () => {
  await using foster = await Foster.create();
  const mode = join(foster.folder, "mode");
  for (const [before, after] of [["older", "newer"], ["newer", "older"]] as const) {
    await Deno.writeTextFile(mode, before);
    await foster.define({
      docs: { ...byHand(`@${mode}`), restart: { backoff: "50ms" } },
    });
    await using one = await connectTo(foster, ["docs"], OPTIONS.older);
    await using two = await connectTo(foster, ["docs"], OPTIONS.newer);
    for (const { client } of [one, two]) assertEquals(await call(client, "echo", { text: before }), before);
    await Deno.writeTextFile(mode, after);
    const key = await onlyKey(foster);
    for (const { client } of [one, two]) {
      await assertRejects(() => call(client, "exit"));
      // The first one may be refused, unsent: nothing runs twice, and nothing is answered for another.
      await until("an answer in the revision that it speaks now", async () => {
        const answer = await call(client, "echo", { text: after }).catch((error: Error) => {
          assertMatch(error.message, /not sent|may or may not have run/);
          return null;
        });
        return answer === after;
      });
    }
    assertEquals([one.drops(), two.drops()], [0, 0]);
    await foster.run(["down", "docs"]);
    assert(key !== "");
  }
});

Deno.test("restart waits for a task that is open at the server, and says so; --force does not", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: byHand("older") });
  const client = foster.start(["connect", "docs"], { stdin: true });
  let id = 0;
  const ask = async (method: string, params: Record<string, unknown>) => {
    await client.write(JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params }) + "\n");
    const line = await client.stdoutLine(new RegExp(`"id":${id}[,}]`));
    return JSON.parse(line).result;
  };
  await ask("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "t", version: "1" },
  });
  const begin = (ms: number) => ask("tools/call", { name: "task", arguments: { ms }, task: {} });
  assertEquals((await begin(1500)).task.status, "working");
  assertEquals((await foster.run(["status", "docs", "--json"])).row().revisions, {
    server: ["2025-11-25"],
    clients: [{ name: "t", revision: "2025-11-25", translated: false, sessions: 1 }],
    translates: false,
    open_tasks: 1,
  });
  const restart = foster.start(["restart", "docs"]);
  await restart.stderrLine(/"docs" works on a task/);
  await until(
    "the end of the task",
    async () => (await ask("tasks/get", { taskId: "t" })).status === "completed",
  );
  assertEquals((await restart.finish()).code, 0);

  await begin(600_000);
  await foster.expect(0, ["restart", "docs", "--force"], { timeoutMs: 30_000 });
});
