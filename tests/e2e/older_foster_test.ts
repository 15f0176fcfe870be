/**
 * Beside foster 0.1, which left a process of its own behind for each supervised server.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { endServer, RESTART, untilGone } from "../fixtures/run_kit.ts";
import { unless } from "../skip.ts";
import { Foster, isAlive, type Result, type Row, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
/** The last commit of 0.1. */
const COMMIT = "60f9544";

const source = await unpack();

/** The sources of 0.1 in a folder of their own; null where the history is not there. */
async function unpack(): Promise<string | null> {
  const folder = await Deno.makeTempDir({ prefix: "foster-0.1-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const archive = join(folder, "source.tar");
  try {
    const made = await new Deno.Command("git", {
      args: ["-C", ROOT, "archive", "--output", archive, COMMIT],
      stderr: "null",
    }).output();
    if (!made.success) return null;
    const unpacked = await new Deno.Command("tar", { args: ["-xf", archive, "-C", folder] }).output();
    return unpacked.success ? folder : null;
  } catch {
    return null;
  }
}

function older(foster: Foster, args: readonly string[]) {
  const config = join(source ?? "", "deno.json");
  const main = join(source ?? "", "main.ts");
  return foster.startProgram(Deno.execPath(), ["run", "-q", "-A", "--config", config, main, ...args]);
}

async function olderDone(foster: Foster, args: readonly string[]): Promise<Row> {
  const { code, stdout, stderr } = await older(foster, [...args, "--json"]).finish();
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout).servers[0];
}

const why = source === null ? "the history with 0.1 is not here" : null;

Deno.test(
  unless(why, "a supervisor of 0.1 is ended, and its server adopted with the same process"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto", { restart: RESTART }) });
    const before = await olderDone(foster, ["up", "t", "--supervise"]);
    const bridge = (await foster.record(before.key))?.supervisor as { pid: number };
    assert(await isAlive(bridge.pid));

    await foster.expect(0, ["up", "t", "--supervise"]);
    await untilGone(bridge.pid);
    const row = (await foster.expect(0, ["status", "t", "--json"])).row();
    assertEquals([row.pid, row.state, row.supervised, row.restarts], [before.pid, "ready", true, 0]);
    endServer(row.pid);
    await until("the restart", async () => {
      const again = (await foster.run(["status", "t", "--json"])).row();
      return again.state === "ready" && again.pid !== row.pid;
    });
  },
);

Deno.test(unless(why, "a run of 0.1 in a terminal is left alone, and named"), async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const running = older(foster, ["run", "t"]);
  await running.stdoutLine(/^ready: /);
  const refused: Result = await foster.expect(18, ["up", "t", "--supervise"]);
  assertMatch(refused.stderr, new RegExp(`"t" is supervised already, by pid ${running.pid}`));
  assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().state, "ready");
  running.kill("SIGTERM");
  assertEquals((await running.finish()).code, 0);
});

Deno.test(
  unless(why, "foster 0.1 beside a supervisor finds nothing corrupt, and its down loses no other server"),
  async () => {
    await using foster = await Foster.create();
    const server = tiny("auto", { restart: RESTART });
    await foster.define({ t: server, other: server });
    await foster.expect(0, ["up", "--supervise"]);
    const seen = await older(foster, ["ps", "--json"]).finish();
    assertEquals(seen.code, 0, seen.stderr);
    const rows: Row[] = JSON.parse(seen.stdout).servers;
    assertEquals(rows.map(({ state }) => state), ["ready", "ready"]);
    const [other] = rows.filter(({ name }) => name === "other");
    await olderDone(foster, ["down", "t"]);
    assertEquals(await isAlive(other?.pid ?? 0), true);
    await foster.expect(0, ["up", "other", "--supervise"]);
    const row = (await foster.expect(0, ["status", "other", "--json"])).row();
    assertEquals([row.pid, row.supervised], [other?.pid, true]);
  },
);
