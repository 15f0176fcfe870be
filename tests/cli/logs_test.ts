import { assertEquals } from "@std/assert";
import { STATE, typed } from "./command_line.ts";

for (const [flag, name] of [["--crash", "crash.log"], ["--events", "events.ndjson"]] as const) {
  Deno.test(`logs ${flag} --json says in one line that there is nothing`, async () => {
    const { code, stdout, stderr } = await typed(["logs", "demo", flag, "--json"]);
    const file = `${STATE}/servers/demo/${name}`;
    assertEquals([code, stdout], [0, `${JSON.stringify({ type: "empty", name: "demo", file })}\n`]);
    assertEquals(stderr, `"demo" has nothing in ${file}\n`);
  });
}
