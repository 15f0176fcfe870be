/**
 * What translation costs: a small call through the gateway, by clients of both revisions at servers of both, in one run. The
 * servers are one script, which is told what to speak.
 *
 *     deno run -A scripts/bench/revisions_bench.ts [--foster COMMAND] [--calls N] [--rounds N] [--json]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { fromFileUrl, join } from "@std/path";
import { callerEnvironment } from "../caller_environment.ts";
import { atMost, type Figure, median } from "./figures.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const SERVER = join(ROOT, "tests", "fixtures", "stdio_server.ts");
const NEWER = "2026-07-28";
const KEYS = "io.modelcontextprotocol/";
const GOAL_MS = 0.3;

type Revision = "older" | "newer";
const REVISIONS: readonly Revision[] = ["older", "newer"];

const { values: options } = parseArgs({
  options: {
    foster: { type: "string" },
    calls: { type: "string", default: "300" },
    rounds: { type: "string", default: "8" },
    json: { type: "boolean", default: false },
  },
});
const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-bench-" }));
const env = { ...callerEnvironment(), HOME: folder, FOSTER_STATE_DIR: join(folder, "state") };
const [command = "deno", ...before] = options.foster?.split(" ") ??
  ["deno", "run", "-q", "-A", "--config", join(ROOT, "deno.json"), join(ROOT, "main.ts")];

async function foster(...verb: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, {
    args: [...before, ...verb],
    cwd: folder,
    env,
    clearEnv: true,
    stderr: "inherit",
  }).output();
  return new TextDecoder().decode(stdout);
}

/** One call, as a client of the revision makes it. */
type Call = () => Promise<void>;

async function post(
  url: string,
  message: Record<string, unknown>,
  headers: Record<string, string>,
): Promise<Response> {
  return await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
  });
}

async function checked(response: Response): Promise<void> {
  const text = await response.text();
  if (!text.includes('"hello"')) throw new Error(`HTTP ${response.status}: ${text}`);
}

async function clientOf(revision: Revision, url: string): Promise<Call> {
  let id = 0;
  const call = { method: "tools/call", params: { name: "echo", arguments: { text: "hello" } } };
  if (revision === "newer") {
    const _meta = { [`${KEYS}protocolVersion`]: NEWER, [`${KEYS}clientCapabilities`]: {} };
    const headers = { "mcp-protocol-version": NEWER, "mcp-method": "tools/call", "mcp-name": "echo" };
    return async () =>
      await checked(await post(url, { id: ++id, ...call, params: { ...call.params, _meta } }, headers));
  }
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "bench", version: "1" },
  };
  const begun = await post(url, { id: ++id, method: "initialize", params }, {});
  await begun.body?.cancel();
  const headers = { "mcp-session-id": begun.headers.get("mcp-session-id") ?? "" };
  await (await post(url, { method: "notifications/initialized" }, headers)).body?.cancel();
  return async () => await checked(await post(url, { id: ++id, ...call }, headers));
}

/** The medians of calls made in turns, so that what else the machine does meets all alike. Milliseconds. */
async function timed(count: number, calls: readonly Call[]): Promise<number[]> {
  const times = calls.map((): number[] => []);
  for (let n = 0; n < count; n++) {
    for (const [index, call] of calls.entries()) {
      const startedAt = performance.now();
      await call();
      times[index]?.push(performance.now() - startedAt);
    }
  }
  return times.map((each) => median(each));
}

async function measure(): Promise<Figure[]> {
  const server = (mode: string) => ({
    command: "deno",
    args: ["run", "-q", "--no-lock", "-A", SERVER, mode],
  });
  const servers = Object.fromEntries(REVISIONS.map((mode) => [mode, server(mode)]));
  await Deno.writeTextFile(join(folder, "foster.json"), JSON.stringify({ servers }));
  const served: { servers: { name: string; endpoint: string }[] } = JSON.parse(
    await foster("serve", "--detach", "--no-token", "--json"),
  );
  const urlOf = (name: string) => served.servers.find((each) => each.name === name)?.endpoint ?? "";
  const pairs: { client: Revision; direct: Call; translated: Call }[] = [];
  for (const client of REVISIONS) {
    const other = client === "older" ? "newer" : "older";
    pairs.push({
      client,
      direct: await clientOf(client, urlOf(client)),
      translated: await clientOf(client, urlOf(other)),
    });
  }
  const calls = Number(options.calls);
  for (const { direct, translated } of pairs) await timed(calls, [direct, translated]);
  const taken = pairs.map((pair) => ({ ...pair, medians: [] as number[][] }));
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const { direct, translated, medians } of taken) {
      medians.push(await timed(calls, [direct, translated]));
    }
  }
  return taken.map(({ client, medians }) => {
    const over = medians.map(([plain = 0, other = 0]) => other - plain);
    if (!options.json) {
      const [plain, other] = [0, 1].map((index) => median(medians.map((each) => each[index] ?? 0)));
      console.log(
        `${client} client: ${plain?.toFixed(3)} ms untranslated, ${other?.toFixed(3)} ms translated, ` +
          `${median(over).toFixed(3)} ms more (ratio ${((other ?? 0) / (plain ?? 1)).toFixed(2)})`,
      );
    }
    return {
      what: `revisions: ${client} client, translated call over untranslated, p50`,
      unit: "ms",
      goal: atMost(GOAL_MS),
      values: over,
    };
  });
}

try {
  const figures = await measure();
  if (options.json) console.log(JSON.stringify(figures));
} finally {
  await foster("serve", "--stop");
  await foster("down", "--all");
  await Deno.remove(folder, { recursive: true });
}
