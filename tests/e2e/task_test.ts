import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { Foster } from "./harness.ts";
import { tiny } from "./tiny.ts";

const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));

Deno.test("deno task foster, from another folder, takes the definition nearest to where the user stands", async () => {
  await using foster = await Foster.create();
  const below = join(foster.cwd, "src", "deep");
  await Deno.mkdir(below, { recursive: true });
  await foster.define({ here: tiny("auto") });
  const task = async (...args: string[]) => {
    const running = foster.startProgram(Deno.execPath(), [
      "task",
      "-q",
      "--config",
      CONFIG,
      "foster",
      ...args,
    ], {
      cwd: below,
    });
    const { code, stdout, stderr } = await running.finish();
    assertEquals(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const { servers: [up] } = await task("up", "--json");
  assertEquals([up.name, up.state], ["here", "ready"]);
  assertEquals((await task("ps", "--json")).servers[0].pid, up.pid);
  assertEquals((await task("down", "--json")).servers[0].recovered.killed, [up.pid]);
});
