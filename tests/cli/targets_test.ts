import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { runFoster } from "../../src/cli/app.ts";
import { FakeHost } from "../host/fake_host.ts";
import { FOSTER_JSON, STATE, typed } from "./command_line.ts";

for (const text of ["{}", '{ "servers": {} }', '{ "mcpServers": {} }']) {
  Deno.test(`verbs without a name say that a definition file of ${text} defines no servers`, async () => {
    for (const verb of ["up", "down", "warm"]) {
      const { code, stderr } = await typed([verb], { text });
      const [message, hint = ""] = stderr.split("\n");
      assertEquals([code, message], [2, `which server? ${FOSTER_JSON} defines no servers`]);
      assert(hint.includes("demo, everything, godot-ai"), hint);
    }
  });
}

Deno.test("a foster.jsonc beside a foster.json is not read, and that is said once", async () => {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  const second = FOSTER_JSON.replace(/json$/, "jsonc");
  host.files.put(FOSTER_JSON, "{}");
  host.files.put(second, "{ broken");
  assertEquals(await runFoster(host, ["down", "demo", "everything", "--json", "--quiet"]), 0);
  assertEquals(host.terminal.errText, "");
  assertEquals(await runFoster(host, ["down", "demo", "everything", "--json"]), 0);
  assertEquals(host.terminal.errText, `${second} is not read: ${FOSTER_JSON} stands beside it\n`);
});

Deno.test("init --config writes nothing that would stand beside a file that goes first", async () => {
  const folder = "/home/user/.config/foster";
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  host.files.put(join(folder, "foster.json"), "{}");
  assertEquals(await runFoster(host, ["init", "--config", join(folder, "foster.jsonc")]), 2);
  assertEquals(host.terminal.errText, `${join(folder, "foster.json")} is there already\n`);
  assertEquals(await runFoster(host, ["init", "--config", join(folder, "other.jsonc")]), 0);
});

for (const file of ["/home/user/.config/foster/foster.jsonc", "/home/user/other.json"]) {
  Deno.test(`init --config writes ${file} with the schema beside it, and overwrites nothing`, async () => {
    const { code, host } = await typed(["init", "--config", file], { text: "{}" });
    assertEquals(code, 0);
    const paths = host.files.paths();
    assert(
      paths.includes(file) && paths.includes(join(dirname(file), "foster.schema.json")),
      paths.join("\n"),
    );
    assertEquals(await runFoster(host, ["init", "--config", file]), 2);
    assert(host.terminal.errText.includes(`${file} is there already`), host.terminal.errText);
    assertEquals(await runFoster(host, ["status", "example", "--config", file, "--json"]), 1);
  });
}
