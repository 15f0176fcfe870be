import { assertEquals } from "@std/assert";
import { runFoster } from "../../src/cli/app.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";
import { sampleRecord } from "../registry/sample.ts";
import { STATE, typed } from "./command_line.ts";

for (const [flag, name] of [["--crash", "crash.log"], ["--events", "events.ndjson"]] as const) {
  Deno.test(`logs ${flag} --json says in one line that there is nothing`, async () => {
    const { code, stdout, stderr } = await typed(["logs", "demo", flag, "--json"]);
    const file = `${STATE}/servers/demo/${name}`;
    assertEquals([code, stdout], [0, `${JSON.stringify({ type: "empty", name: "demo", file })}\n`]);
    assertEquals(stderr, `"demo" has nothing in ${file}\n`);
  });
}

Deno.test("logs --events --json shows the record of an event without its instance token", async () => {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  const folder = new StateFolder(host, STATE).server("demo");
  await folder.prepare();
  await folder.event("spawned", { record: sampleRecord({ key: "demo" }) });
  assertEquals(await runFoster(host, ["logs", "demo", "--events", "--json"]), 0);
  const { record } = JSON.parse(host.terminal.outText);
  assertEquals([record.key, "token" in record], ["demo", false]);
  assertEquals(host.terminal.outText.includes("random"), false);
});
