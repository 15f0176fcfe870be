import { assert, assertEquals, assertMatch } from "@std/assert";
import { Foster } from "./harness.ts";

Deno.test("up --verbose shows the steps of the start with their times, the tier and the masked command line", async () => {
  await using foster = await Foster.create();
  const args = ["demo-server", "--port", "${port}", "--version", "${env:SECRET_NAME}"];
  await foster.define({ mine: { extends: "demo", args, wsPort: null, version: null } });
  const env = { SECRET_NAME: "7.7.7-s3cret" };
  const { code, stderr } = await foster.run(["up", "mine", "--verbose"], { env });
  assertEquals(code, 0, stderr);
  const lines = stderr.split("\n").filter((line) => line.startsWith("trace: "));
  assertEquals(lines[0], "trace: up begins");
  assertMatch(
    lines.at(-1) ?? "",
    /^trace: up is done \(total_ms=\d+ helper_programs=\d+.* probes=[1-9]\d* system_calls=[1-9]\d*\)$/,
  );
  const of = (part: RegExp) => lines.filter((line) => part.test(line)).length;
  assert(of(/"mine": observed \(delta_ms=\d+ total_ms=\d+\)$/) >= 1, stderr);
  assertEquals(of(/"mine": found the command \(delta_ms=/), 1);
  assertEquals(
    of(/"mine": launched by tier command: .* demo-server --port \d+ --version \$\{env:SECRET_NAME\}$/),
    1,
  );
  assertEquals(of(/"mine": startup path: spawned$/), 1);
  assert(!stderr.includes("s3cret"), stderr);
  // Once more, adopted.
  const again = await foster.run(["up", "mine"], { env: { ...env, FOSTER_TRACE: "yes" } });
  assertMatch(again.stderr, /"mine": startup path: adopted\n/);
  assertEquals((await foster.run(["up", "mine"], { env })).stderr.includes("trace"), false);
});
