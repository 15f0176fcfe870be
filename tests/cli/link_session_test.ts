import { assertEquals } from "@std/assert";
import { type BlockedServer, mayGoOn, reasonToWait } from "../../src/cli/link_session.ts";
import type { ServerRecord } from "../../src/registry/record.ts";
import { sampleRecord } from "../registry/sample.ts";

const record = (changes: Partial<ServerRecord>): ServerRecord => ({ ...sampleRecord(), ...changes });
const OLD = "id:docs:0001";
const NEW = "id:docs:0002";

const cases: [when: string, blocked: BlockedServer, now: ServerRecord | null, expected: boolean][] = [
  ["its record is the same, not noted yet", { token: OLD, sawWrong: false }, record({ token: OLD }), false],
  [
    "its record was noted as incompatible",
    { token: OLD, sawWrong: true },
    record({ token: OLD, state: "incompatible" }),
    false,
  ],
  [
    "another one starts",
    { token: OLD, sawWrong: false },
    record({ token: NEW, state: "spawning" }),
    true,
  ],
  ["another one is ready", { token: OLD, sawWrong: false }, record({ token: NEW, state: "ready" }), true],
  [
    "another one crashed",
    { token: OLD, sawWrong: false },
    record({ token: NEW, state: "crashed" }),
    false,
  ],
  ["it was found to be right after all", { token: OLD, sawWrong: true }, record({ token: OLD }), true],
  ["it was stopped", { token: OLD, sawWrong: true }, null, false],
  ["a server without a record got one", { token: null, sawWrong: false }, record({ token: NEW }), true],
];

for (const [when, blocked, now, expected] of cases) {
  Deno.test(`mayGoOn() is ${expected} when ${when}`, () => {
    assertEquals(mayGoOn(blocked, now), expected);
  });
}

Deno.test("reasonToWait() is there only for a record that calls the server incompatible", () => {
  for (const state of ["ready", "spawning", "crashed", "stopped", "foreign_port"] as const) {
    assertEquals(reasonToWait({ name: "docs", record: record({ state }) }), null, state);
  }
  assertEquals(reasonToWait({ name: "docs", record: null }), null);
  const reason = reasonToWait({ name: "docs", record: record({ state: "incompatible", version: "2.3.0" }) });
  assertEquals(
    reason,
    'it is known to be incompatible (version 2.3.0). foster status "docs" says more; ' +
      'foster recover "docs" replaces it',
  );
});
