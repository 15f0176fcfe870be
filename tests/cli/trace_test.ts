import { assert, assertEquals, assertMatch } from "@std/assert";
import { startTracing } from "../../src/cli/trace.ts";
import { FakeHost } from "../host/fake_host.ts";
import { typed } from "./command_line.ts";

Deno.test("startTracing() gives each step the time since the one before it, and counts what was asked", async () => {
  const host = new FakeHost();
  host.processes.helper("/usr/bin/ss", () => ({ code: 0 }));
  const lines: string[] = [];
  const tracing = startTracing(host, "up", (line) => lines.push(line));
  await host.clock.advance(30);
  tracing.trace.step("docs", "observed");
  await host.clock.advance(12);
  tracing.trace.step("docs", "spawn");
  tracing.trace.note("docs", "startup path: spawned");
  // A reader of the system runs its helpers by itself.
  await host.processes.run("/usr/bin/ss", [], { timeoutMs: 1 });
  await tracing.host.processes.list();
  await tracing.host.files.stat("/x");
  await tracing.host.net.dial("127.0.0.1", 1, 1);
  assertEquals(tracing.host.processes.selfPid, host.processes.selfPid);
  tracing.finish();
  await host.processes.run("/usr/bin/ss", [], { timeoutMs: 1 });
  assertEquals(lines, [
    "trace: up begins",
    'trace: "docs": observed (delta_ms=30 total_ms=30)',
    'trace: "docs": spawn (delta_ms=12 total_ms=42)',
    'trace: "docs": startup path: spawned',
    "trace: up is done (total_ms=42 helper_programs=1 ss=1 probes=1 system_calls=2)",
  ]);
});

for (
  const [what, argv, env, traced] of [
    ["--verbose", ["ps", "--verbose"], {}, true],
    ["FOSTER_TRACE=1", ["ps"], { FOSTER_TRACE: "1" }, true],
    ["FOSTER_TRACE=0", ["ps"], { FOSTER_TRACE: "0" }, false],
    ["neither", ["ps"], {}, false],
    ["--quiet beside it", ["ps", "--quiet"], { FOSTER_TRACE: "1" }, false],
  ] as const
) {
  Deno.test(`runFoster() traces ${traced ? "" : "nothing "}with ${what}, on stderr alone`, async () => {
    const { code, stdout, stderr } = await typed([...argv, "--json"], { env });
    assertEquals([code, JSON.parse(stdout).servers], [0, []]);
    if (!traced) return assertEquals(stderr, "");
    assertMatch(stderr, /^trace: ps begins\n[^]*trace: ps is done \(total_ms=0 .* system_calls=\d+\)\n$/);
    assert(!/system_calls=0\)/.test(stderr), stderr);
  });
}
