/**
 * Calls while their server and the supervisor are killed again and again: through connect and over HTTP. What is safe to
 * repeat is answered, once; a call runs once at most, and its answer says which of the two it was.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { Foster } from "../../tests/e2e/harness.ts";
import { numbers } from "./chaos.ts";

export interface CallsOptions {
  /** Requests of each kind and way. */
  count: number;
  restarts: number;
  supervisorKills: number;
  seed: number;
}

export interface CallsResult {
  /** Of requests that are safe to repeat, by way. */
  safe: Record<string, number>;
  /** Of calls, by way and by what they were answered. */
  calls: Record<string, number>;
  /** Requests over HTTP that met no supervisor. */
  refused: number;
}

const SERVER = fromFileUrl(new URL("../soak/server.ts", import.meta.url));
const HELLO = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "chaos", version: "1" },
};
const ANSWER_MS = 60_000;

interface Answer {
  result?: unknown;
  error?: { message: string; data?: { may_have_run?: boolean } };
}

/** `refused`: nobody listened. */
type Way = (id: number, method: string, params: unknown) => Promise<Answer | "refused">;

/** @throws AssertionError where anything was lost or doubled */
export async function callsOverRestarts(options: CallsOptions): Promise<CallsResult> {
  await using foster = await Foster.create();
  const marks = join(foster.folder, "marks");
  await Deno.writeTextFile(marks, "");
  const args = ["run", "-q", "--no-lock", "-A", SERVER, "older", marks];
  await foster.define({ docs: { command: "deno", args, restart: { backoff: "50ms" } } });
  const address = await serve(foster);
  const connected = await throughConnect(foster);
  const ways: Record<string, Way> = { connect: connected.ask, http: await overHttp(address) };
  const over = new AbortController();
  const disturbing = disturb(foster, options, over.signal);
  const result: CallsResult = { safe: {}, calls: {}, refused: 0 };
  const told = new Map<string, Answer>();
  let done = 0;
  const work = async (name: string, ask: Way) => {
    for (let n = 0; n < options.count || !disturbing.isOver; n++) {
      for (const kind of ["safe", "call"] as const) {
        const text = `${name}-${kind}-${n}`;
        const answer = kind === "safe"
          ? await ask(++done, "prompts/get", { name: text })
          : await ask(++done, "tools/call", { name: "mark", arguments: { text, ms: n % 3 } });
        if (answer === "refused") {
          assertEquals(name, "http", `${text} was refused`);
          result.refused++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        } else {
          told.set(text, answer);
          const how = answer.error === undefined
            ? "answered"
            : answer.error.data?.may_have_run === false
            ? "not run"
            : "maybe";
          const key = `${name}, ${how}`;
          const table = kind === "safe" ? result.safe : result.calls;
          table[key] = (table[key] ?? 0) + 1;
          if (kind === "safe") assertEquals(answer.error, undefined, `${text} was lost`);
        }
      }
    }
  };
  try {
    await Promise.all([...Object.entries(ways).map(([name, ask]) => work(name, ask)), disturbing.end]);
  } finally {
    over.abort();
    await disturbing.end.catch(() => {});
    await connected.close();
    await foster.run(["serve", "--stop"]);
  }
  const ran = Map.groupBy((await Deno.readTextFile(marks)).split("\n").filter(Boolean), (line) => line);
  for (const [text, lines] of ran) {
    if (text.includes("-call-")) assertEquals(lines.length, 1, `${text} ran ${lines.length} times`);
  }
  for (const [text, { error }] of told) {
    if (!text.includes("-call-")) continue;
    if (error === undefined) assert(ran.has(text), `${text} was answered and did not run`);
    else if (error.data?.may_have_run === false) {
      assert(!ran.has(text), `${text} ran, and its answer denies it: ${error.message}`);
    }
  }
  return result;
}

async function serve(foster: Foster): Promise<{ url: string; token: string }> {
  const { stdout } = await foster.expect(0, ["serve", "--detach", "--json"]);
  const { supervisor, servers } = JSON.parse(stdout);
  return { url: servers[0].endpoint, token: (await Deno.readTextFile(supervisor.token_file)).trim() };
}

/** Kills the server's process, and now and then the supervisor, which a verb brings back. */
function disturb(
  foster: Foster,
  { restarts, supervisorKills, seed }: CallsOptions,
  signal: AbortSignal,
): { end: Promise<void>; isOver: boolean } {
  const random = numbers(seed);
  const own = { isOver: false, end: Promise.resolve() };
  const run = async () => {
    const total = restarts + supervisorKills;
    for (let n = 1; n <= total && !signal.aborted; n++) {
      await new Promise((resolve) => setTimeout(resolve, 100 + random() * 600));
      if (n % Math.ceil(total / Math.max(1, supervisorKills)) === 0) {
        const { pid } = JSON.parse(await Deno.readTextFile(join(foster.stateDir, "supervisor.json")));
        Deno.kill(pid, "SIGKILL");
        await serve(foster);
      } else await killOne(foster, random());
    }
    own.isOver = true;
  };
  own.end = run();
  return own;
}

async function killOne(foster: Foster, which: number): Promise<void> {
  const endsAt = performance.now() + 10_000;
  while (performance.now() < endsAt) {
    const { servers } = (await foster.expect(0, ["ps", "--json"])).json() as unknown as {
      servers: { copies?: { pid: number }[] }[];
    };
    const pids = servers.flatMap(({ copies }) => copies?.map(({ pid }) => pid) ?? []);
    const pid = pids[Math.floor(which * pids.length)];
    if (pid !== undefined) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      return;
    }
  }
  throw new Error("no process of the server runs");
}

async function throughConnect(foster: Foster): Promise<{ ask: Way; close(): Promise<void> }> {
  const running = foster.start(["connect", "docs"], { stdin: true });
  const seen = new Map<number, number>();
  const ask: Way = async (id, method, params) => {
    await running.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    const line = await running.stdoutLine(new RegExp(`"id":${id}[,}]`), ANSWER_MS);
    seen.set(id, (seen.get(id) ?? 0) + 1);
    return JSON.parse(line);
  };
  await ask(0, "initialize", HELLO);
  await running.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
  return {
    ask,
    async close() {
      await running.closeInput();
      const { stdout } = await running.finish(10_000);
      const ids = stdout.split("\n").flatMap((line) => /"id":(\d+)[,}]/.exec(line)?.[1] ?? []);
      assertEquals(new Set(ids).size, ids.length, "an answer came twice");
    },
  };
}

async function overHttp({ url, token }: { url: string; token: string }): Promise<Way> {
  let session: string | null = null;
  const post = async (message: Record<string, unknown>): Promise<string | "refused"> => {
    let response: Response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json",
          ...(session === null ? {} : { "mcp-session-id": session }),
        },
        body: JSON.stringify({ jsonrpc: "2.0", ...message }),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
    } catch (error) {
      if (error instanceof DOMException) throw error;
      return "refused";
    }
    session ??= response.headers.get("mcp-session-id");
    const text = await response.text().catch(() => "refused");
    if (message.id !== undefined && text !== "refused" && response.status !== 200) {
      throw new Error(`HTTP ${response.status}: ${text}`);
    }
    return text;
  };
  const ask: Way = async (id, method, params) => {
    const text = await post({ id, method, params });
    return text === "refused" ? "refused" : JSON.parse(text);
  };
  await ask(0, "initialize", HELLO);
  await post({ method: "notifications/initialized" });
  return ask;
}
