/**
 * Real processes: a start that was cut off, an owner that is no more, a value that is nobody's business.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { ForeignProcess, listening, served, webServer } from "../fixtures/wk_support.ts";
import { notAsked, unless } from "../skip.ts";
import { exists, Foster, freePort, isAlive, type Runner } from "./harness.ts";
import { tiny, tinyArgs } from "./tiny.ts";

function proves(
  name: string,
  body: (foster: Foster) => Promise<void>,
  { only = null }: { only?: string | null } = {},
): void {
  Deno.test(unless(notAsked ?? only, name), async () => {
    await using foster = await Foster.create();
    await body(foster);
  });
}

/** A pid that nobody has: its process was started here, ended and reaped. */
async function deadPid(): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" }).spawn();
  await child.status;
  return child.pid;
}

for (const definition of ["plain", "with a variable for its owner"] as const) {
  proves(
    `up --owner-pid of a process that is gone starts no server that is ${definition}`,
    async (foster) => {
      const more = definition === "plain" ? {} : { ownerEnv: "TINY_OWNER" };
      await foster.define({ tiny: tiny(freePort(), more) });
      const pid = await deadPid();
      const result = await foster.expect(2, ["up", "tiny", "--owner-pid", String(pid), "--json"]);
      assertEquals(result.json().error?.exit_code, 2);
      assertStringIncludes(result.json().error?.message ?? "", `--owner-pid ${pid}`);
      assertEquals(await foster.servers(), []);
      assertEquals(await exists(join(foster.stateDir, "servers")), false);
    },
  );
}

proves(
  "down keeps a start whose child nobody knows, names it, and ends it once it listens",
  async (foster) => {
    const port = freePort();
    const go = join(foster.folder, "go");
    await foster.define({ tiny: tiny(port, { options: [`--await-file=${go}`] }) });
    const { key, pid } = (await foster.expect(0, ["up", "tiny", "--no-wait", "--json"])).row();
    const folder = join(foster.stateDir, "servers", key);
    const events = (await Deno.readTextFile(join(folder, "events.ndjson"))).trim().split("\n");
    const spawning = events.map((line) => JSON.parse(line)).find(({ event }) => event === "spawning");
    assertEquals([spawning.record.state, spawning.record.pid], ["spawning", null]);
    await Deno.writeTextFile(join(folder, "record.json"), JSON.stringify(spawning.record));

    const refused = (await foster.expect(16, ["down", "tiny", "--json"])).row();
    assertMatch(refused.message, new RegExp(`pid ${pid}\\b`));
    assert(await isAlive(pid));
    assertEquals((await foster.record(key))?.token, spawning.record.token);

    await Deno.writeTextFile(go, "");
    await listening(port);
    const stopped = (await foster.expect(0, ["down", "tiny", "--json"])).row();
    assertEquals(stopped.recovered?.killed, [pid]);
    assertEquals([await isAlive(pid), await foster.record(key)], [false, null]);
  },
);

proves(
  "recover ends who answers on 127.0.0.1, and not who listens on ::1 of the same port",
  async (foster) => {
    const port = freePort();
    const server = await ForeignProcess.server(foster, port, ["--version", "0.9.0"]);
    const [command, ...args] = await webServer(port, "::1");
    const other = foster.startProgram(command, args, { env: { FOSTER_STATE_DIR: undefined } });
    await listening(port, "::1");
    await foster.define({ wk: served(port, { version: "1.0.0" }) });
    const row = (await foster.run(["recover", "wk", "--json"])).row();
    assertEquals(row.recovered, { proof: "status_name", killed: [server.pid] });
    assertEquals([await server.isGone(), await isAlive(other.pid)], [true, true]);
  },
);

proves("recover ends a reload parent and its worker, which share one socket", async (foster) => {
  const port = freePort();
  const server = await ForeignProcess.server(foster, port, ["--version", "0.9.0", "--manner", "reload"]);
  await foster.define({ wk: served(port, { version: "1.0.0" }) });
  const row = (await foster.expect(0, ["recover", "wk", "--json"])).row();
  assertEquals([row.state, row.recovered?.proof, row.recovered?.killed.length], ["ready", "status_name", 2]);
  assert(row.recovered?.killed.includes(server.pid));
}, { only: Deno.build.os === "windows" ? "no fork shares a socket there" : null });

const SECRET = "hunter2-fold";

/** All that foster wrote, by path; what the server itself wrote apart. */
async function written(folder: string): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) { for (const [each, text] of await written(path)) texts.set(each, text); }
    else if (!name.startsWith("server.log")) texts.set(path, await Deno.readTextFile(path));
  }
  return texts;
}

const windows = Deno.build.os === "windows";
const batch = (text: string) => ({ file: "serve.cmd", text: `@${text}\r\n` });
const script = (text: string) => ({ file: "serve", text });

const PROGRAMS: { name: string; program: ReturnType<typeof script> | null; code: number; runner?: Runner }[] =
  [
    {
      name: "becomes ready",
      program: windows ? batch("deno %*") : script('#!/bin/sh\nexec deno "$@"\n'),
      code: 0,
    },
    { name: "ends at once", program: windows ? batch("exit 3") : script("#!/bin/sh\nexit 3\n"), code: 10 },
    {
      name: "can't be started",
      program: windows ? { file: "serve.exe", text: "no program" } : script("#!/no/such/interpreter\n"),
      code: 10,
    },
    { name: "is not there", program: null, code: 11 },
    {
      name: "may not be run",
      program: windows ? batch("exit 3") : script("#!/bin/sh\n"),
      code: 11,
      runner: "scoped",
    },
  ];
for (const { name, program, code, runner = "all" } of PROGRAMS) {
  proves(
    `the value of a variable in the command is told nowhere when the program ${name}`,
    async (foster) => {
      const folder = join(foster.cwd, SECRET);
      await Deno.mkdir(folder);
      if (program !== null) {
        await Deno.writeTextFile(join(folder, program.file), program.text, { mode: 0o755 });
      }
      await foster.define({
        tiny: {
          command: "${env:TINY_FOLDER}/serve",
          args: tinyArgs("--port=${port}"),
          port: freePort(),
          ready: { check: "mcp", timeout: "10s" },
        },
      });
      const env = { TINY_FOLDER: folder };
      const up = await foster.expect(code, ["up", "tiny", "--json", "--verbose"], { env, runner });
      assertEquals(`${up.stdout}${up.stderr}`.includes(SECRET), false, `${up.stdout}${up.stderr}`);
      for (const [path, content] of await written(foster.stateDir)) {
        assertEquals(content.includes(SECRET), false, path);
      }
      if (code === 0) {
        assertEquals((await foster.record(up.row().key))?.executable, "${env:TINY_FOLDER}/serve");
      }
    },
  );
}
