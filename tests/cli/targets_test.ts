import { assert, assertEquals } from "@std/assert";
import { FOSTER_JSON, typed } from "./command_line.ts";

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
