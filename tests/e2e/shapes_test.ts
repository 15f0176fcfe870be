import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { exists, Foster, isAlive, isFree, until } from "./harness.ts";
import { tiny, tinyArgs } from "./tiny.ts";

const behind = (script: string, ...options: string[]) => ({
  command: "sh",
  args: ["-c", script, "sh", ...tinyArgs("--port=${port}", ...options)],
  port: "auto",
});

/** Ways in which the process that listens is not the one that was spawned. */
const LAUNCHERS: [title: string, script: string][] = [
  ["waits for its server", 'deno "$@"; true'],
  ["ends before its server listens", 'deno "$@" & exit 0'],
  ["puts its server into a session of its own", 'setsid deno "$@" & exit 0'],
];

// macOS has no program for it; a program of Python's takes its place.
const OWN_SESSION = `python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'`;

for (const [title, linuxScript] of LAUNCHERS) {
  const script = Deno.build.os === "darwin" ? linuxScript.replace("setsid", OWN_SESSION) : linuxScript;
  Deno.test(`a server is started, adopted and stopped behind a launcher that ${title}`, async () => {
    await using foster = await Foster.create();
    await foster.define({ t: behind(script, "--delay=400") });
    const up = (await foster.expect(0, ["up", "t", "--json"])).row();
    const record = await foster.record(up.key);
    assert(record?.launcher_pid !== up.pid);
    assertEquals((await foster.expect(0, ["ps", "--json"])).row().process, "ours");
    const again = (await foster.expect(0, ["up", "t", "--json"])).row();
    assertEquals([again.startup_path, again.adoption, again.pid], ["adopted", "managed", up.pid]);
    const down = (await foster.expect(0, ["down", "t", "--json"])).row();
    assert(down.recovered?.killed.includes(up.pid));
    assertEquals([await foster.servers(), isFree(up.port)], [[], true]);
  });
}

for (const host of ["::1", "localhost"]) {
  Deno.test(`a server on ${host} is started, found and stopped`, async () => {
    await using foster = await Foster.create();
    const args = ["demo-server", "--port", "${port}", "--host", "${host}"];
    await foster.define({ t: { extends: "demo", host, args, wsPort: null } });
    const up = (await foster.expect(0, ["up", "t", "--json"])).row();
    assertEquals(new URL(up.endpoint).hostname, host === "::1" ? "[::1]" : host);
    await foster.expect(0, ["probe", "t"]);
    const again = (await foster.expect(0, ["up", "t", "--json"])).row();
    assertEquals([again.startup_path, again.pid], ["adopted", up.pid]);
    const down = (await foster.expect(0, ["down", "t", "--json"])).row();
    assertEquals(down.recovered?.killed, [up.pid]);
  });
}

Deno.test("ready can mean that the port is open, or that an HTTP path answers", async () => {
  await using foster = await Foster.create();
  await foster.define({
    open: tiny("auto", { options: ["--silent"], ready: { check: "tcp" } }),
    answers: { extends: "demo", ready: { check: "http" } },
    refuses: tiny("auto", { ready: { check: "http", timeout: "5s" } }),
  });
  const { servers } = (await foster.expect(15, ["up", "--json"])).json();
  assertEquals(servers.map((row) => row.state), ["ready", "ready", "crashed"]);
  assertMatch(servers[2]?.message ?? "", /HTTP 405/);
  assertEquals((await foster.expect(0, ["up", "open", "--json"])).row().adoption, "managed");
  await foster.expect(0, ["status", "open", "answers"]);
});

Deno.test("up ends with 15 and names the tools that a server lacks, and stops it", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { requiredTools: ["echo", "fly"] }) });
  const row = (await foster.expect(15, ["up", "t", "--json"])).row();
  assertMatch(row.message, /missing tools: fly \(available: echo\)/);
  assertEquals(await foster.servers(), []);
});

Deno.test("a down that was killed is finished by the next down, or undone by the next up", async () => {
  for (const next of ["down", "up"] as const) {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto", { options: ["--stubborn"], stop: { grace: "20s" } }) });
    const up = (await foster.expect(0, ["up", "t", "--json"])).row();
    const stopping = foster.start(["down", "t"]);
    await until("the first signal", async () => (await Deno.readTextFile(up.log)).includes("no, thank you"));
    assertEquals((await foster.record(up.key))?.want, "down");
    stopping.kill("SIGKILL");
    await stopping.finish(5000);
    await foster.define({ t: tiny("auto", { options: ["--stubborn"], stop: { grace: "300ms" } }) });
    switch (next) {
      case "down":
        await foster.expect(0, ["down", "t"]);
        assertEquals(await isAlive(up.pid), false);
        break;
      case "up": {
        const row = (await foster.expect(0, ["up", "t", "--json"])).row();
        assertEquals([row.pid, row.startup_path], [up.pid, "adopted"]);
        assertEquals((await foster.record(up.key))?.want, "up");
        await foster.expect(0, ["down", "t"]);
      }
    }
  }
});

Deno.test("a child never inherits the cookie of a foster above it", async () => {
  await using foster = await Foster.create();
  const file = join(foster.folder, "given.json");
  await foster.define({ t: tiny("auto", { options: [`--environment-file=${file}`] }) });
  const env = { FOSTER_TOKEN: "0123456789abcdef:other:00" };
  const { key } = (await foster.expect(0, ["up", "t", "--json"], { env })).row();
  const given = JSON.parse(await Deno.readTextFile(file)).env.FOSTER_TOKEN;
  assertEquals(given, (await foster.record(key))?.token);
  assertEquals((await foster.expect(0, ["up", "t", "--json"], { env })).row().adoption, "managed");
  await foster.expect(0, ["down", "t"], { env });
});

Deno.test("the last five logs are kept", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--say=run ${token}"] }) });
  const { log } = (await foster.expect(0, ["up", "t", "--json"])).row();
  for (let n = 0; n < 6; n++) await foster.expect(0, ["restart", "t"]);
  const texts = await Promise.all(
    [log, ...[1, 2, 3, 4, 5].map((n) => `${log}.${n}`)].map((path) => Deno.readTextFile(path)),
  );
  assertEquals(new Set(texts).size, 6);
  assertEquals(await exists(`${log}.6`), false);
});

Deno.test("up --github-output writes what a later step of a workflow needs", async () => {
  await using foster = await Foster.create();
  const file = join(foster.folder, "github-output");
  await Deno.writeTextFile(file, "before=1\n");
  const env = { GITHUB_OUTPUT: file };
  const up = (await foster.expect(0, ["up", "demo", "--github-output", "--json"], { env })).row();
  const text = await Deno.readTextFile(file);
  assert(text.startsWith("before=1\n"));
  for (const value of [up.endpoint, String(up.pid), up.log]) assert(text.includes(value), text);
});
