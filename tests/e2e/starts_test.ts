import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { exists, Foster, isAlive } from "./harness.ts";
import { tiny, tinyArgs } from "./tiny.ts";

/** Each cause of a start that the system refuses: what stands in the file, and what up says of it. */
const CAUSES: { name: string; text: string; mode?: number; says: RegExp }[] = [
  {
    name: "a missing interpreter",
    text: "#!/no/such/interpreter\n",
    says: /its interpreter \/no\/such\/interpreter.* does not exist/,
  },
  { name: "CRLF after the interpreter", text: "#!/bin/sh\r\nexit 0\r\n", says: /ends with CRLF/ },
  {
    name: "CRLF after env's program",
    text: "#!/usr/bin/env node\r\n1\r\n",
    says: /ends with CRLF/,
  },
  { name: "env's program that is missing", text: "#!/usr/bin/env nosuchprogram\n", says: /nosuchprogram/ },
  { name: "no first line", text: "exit 3\n", says: /has no #! line/ },
  { name: "a file that is not executable", text: "#!/bin/sh\n", mode: 0o644, says: /is not executable/ },
];

Deno.test({
  name: "up names the cause of each start that cannot work",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using foster = await Foster.create();
    await foster.define({ s: { command: "./program.sh", port: "auto" } });
    for (const { name, text, mode = 0o755, says } of CAUSES) {
      const path = await foster.write("program.sh", text);
      await Deno.chmod(path, mode);
      const result = await foster.run(["up", "s", "--json"], { runner: "all" });
      const { message, hint } = result.row();
      assert([10, 11].includes(result.code), `${name}: ${result.stderr}`);
      assertMatch(`${message}\n${hint}`, says, name);
    }
    await foster.define({ s: { command: "./program.sh", port: "auto", cwd: "gone" } });
    await Deno.chmod(await foster.write("program.sh", "#!/bin/sh\nexit 0\n"), 0o755);
    const { message } = (await foster.run(["up", "s", "--json"], { runner: "all" })).row();
    assertMatch(message, /its folder .*gone does not exist/);
  },
});

/** Ends when its standard input does, as servers do that were meant for stdio. */
function untilInputEnds(stdin: "null" | "open"): Record<string, unknown> {
  return tiny("auto", {
    command: "sh",
    args: ["-c", 'deno "$@" & P=$!; cat >/dev/null; kill $P; exit 0', "sh", ...tinyArgs("--port=${port}")],
    stdin,
  });
}

Deno.test({
  name:
    "a server that stops at the end of its input is told of, and lives with an open one, also without foster",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using foster = await Foster.create();
    await foster.define({ s: untilInputEnds("null") });
    const ended = await foster.run(["up", "s", "--json"]);
    assertEquals(ended.code, 10, ended.stderr);
    assertMatch(ended.row().hint, /"stdin": "open"/);
    await foster.define({ s: untilInputEnds("open") });
    const { pid, log } = (await foster.expect(0, ["up", "s", "--json"])).row();
    assertEquals((await foster.expect(0, ["status", "s", "--json"])).row().state, "ready");
    assert(await isAlive(pid));
    assertEquals(await exists(`${log}.stdin`), false);
    await foster.expect(0, ["down", "s"]);
  },
});

Deno.test("one bad name keeps no other from being brought up or taken away", async () => {
  await using foster = await Foster.create();
  await foster.define({ a: tiny("auto"), b: tiny("auto"), c: tiny("auto") });
  await foster.expect(0, ["up", "a", "c"]);
  // No folder, although it should be one: nothing of "b" can be written.
  const { key } = (await foster.run(["status", "b", "--json"])).row();
  await Deno.writeTextFile(join(foster.stateDir, "servers", key), "");
  const up = await foster.run(["up", "a", "b", "nosuch", "c", "--json"]);
  assertEquals(up.json().servers.map(({ name, state }) => [name, state === "ready"]), [
    ["a", true],
    ["b", false],
    ["nosuch", false],
    ["c", true],
  ]);
  assertEquals(up.code, 2, "the first failure's code");
  const down = await foster.run(["down", "nosuch", "b", "a", "c", "--json"]);
  assertEquals(down.json().servers.map(({ name, state }) => [name, state]).slice(2), [
    ["a", "stopped"],
    ["c", "stopped"],
  ]);
  assertEquals(down.code, 2, "the first failure's code");
  await Deno.remove(join(foster.stateDir, "servers", key));
});
