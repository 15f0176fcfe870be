import { assertEquals } from "@std/assert";
import {
  blockReason,
  verdictState,
  VersionCheck,
  type VersionVerdict,
} from "../../src/link/version_check.ts";

const same = (expected: string, actual: string) => expected === actual;

Deno.test("VersionCheck starts its 5 s at the first tick that sees the connection open, not when armed", () => {
  const check = new VersionCheck(same);
  check.arm("2.4.2");
  assertEquals(check.deadlineMs, null);
  assertEquals(check.tick({ connection: null, serverVersion: "", nowMs: 30_000 }), null);
  assertEquals(check.tick({ connection: 1, serverVersion: "", nowMs: 31_000 }), null);
  assertEquals(check.deadlineMs, 36_000);
  assertEquals(check.tick({ connection: 1, serverVersion: "", nowMs: 35_999 }), null);
  assertEquals(check.tick({ connection: 1, serverVersion: "", nowMs: 36_000 }), {
    kind: "unverified",
    expected: "2.4.2",
    actual: "",
    error: "missing_handshake_ack",
    statusCode: 0,
  });
});

Deno.test("VersionCheck accepts a late acknowledgement in the same tick as the deadline", () => {
  const check = new VersionCheck(same);
  check.arm("2.4.2");
  check.tick({ connection: 1, serverVersion: "", nowMs: 0 });
  const verdict = check.tick({ connection: 1, serverVersion: "2.4.2", nowMs: 9_000 });
  assertEquals(verdict, { kind: "ready", expected: "2.4.2", actual: "2.4.2" });
});

Deno.test("VersionCheck restarts its deadline for each connection", () => {
  const check = new VersionCheck(same);
  check.arm(null);
  check.tick({ connection: 1, serverVersion: "", nowMs: 0 });
  check.tick({ connection: null, serverVersion: "", nowMs: 4_000 });
  assertEquals(check.deadlineMs, null);
  assertEquals(check.tick({ connection: 2, serverVersion: "", nowMs: 8_000 }), null);
  assertEquals(check.deadlineMs, 13_000);
  assertEquals(check.tick({ connection: 3, serverVersion: "", nowMs: 13_500 }), null);
  assertEquals(check.deadlineMs, 18_500);
});

Deno.test("VersionCheck gives no verdict when disarmed, nor twice", () => {
  const check = new VersionCheck(same);
  const seen = { connection: 1, serverVersion: "2.4.2", nowMs: 0 };
  assertEquals(check.tick(seen), null);
  check.arm("2.4.2");
  check.disarm();
  assertEquals(check.tick(seen), null);
  check.arm("2.4.2");
  assertEquals(check.tick(seen)?.kind, "ready");
  assertEquals(check.armed, false);
  assertEquals(check.tick(seen), null);
});

Deno.test("VersionCheck asks the given predicate, and nothing for an expected null", () => {
  const asked: string[] = [];
  const check = new VersionCheck((expected, actual) => {
    asked.push(`${expected} ${actual}`);
    return false;
  });
  check.arm("^2.4");
  const seen = { connection: 1, serverVersion: "3.0.0", nowMs: 0 };
  assertEquals(check.tick(seen), { kind: "incompatible", expected: "^2.4", actual: "3.0.0" });
  check.arm(null);
  assertEquals(check.tick(seen), { kind: "ready", expected: null, actual: "3.0.0" });
  assertEquals(asked, ["^2.4 3.0.0"]);
});

const verdicts: [verdict: VersionVerdict, state: string, blocks: boolean][] = [
  [{ kind: "ready", expected: "1", actual: "1" }, "ready", false],
  [{ kind: "incompatible", expected: "1", actual: "2" }, "incompatible", true],
  [
    { kind: "unverified", expected: null, actual: "", error: "missing_handshake_ack", statusCode: 0 },
    "incompatible",
    true,
  ],
];

for (const [verdict, state, blocks] of verdicts) {
  Deno.test(`verdictState() is ${state} for ${verdict.kind}`, () => {
    assertEquals(verdictState(verdict), state);
    assertEquals(blockReason("docs", verdict) !== null, blocks);
  });
}
