import { assert, assertEquals } from "@std/assert";
import { isStateLabel, STATE_CODES, stateLabel } from "../../src/registry/state_label.ts";

Deno.test("STATE_CODES keeps its eleven numbers for ever", () =>
  assertEquals({ ...STATE_CODES }, {
    uninitialized: 0,
    spawning: 1,
    ready: 3,
    incompatible: 4,
    crashed: 5,
    no_command: 6,
    port_excluded: 7,
    foreign_port: 8,
    guarded: 9,
    stopping: 10,
    stopped: 11,
  }));

Deno.test("STATE_CODES gives the reserved number 2 to no state", () =>
  assert(!Object.values(STATE_CODES).includes(2 as never)));

Deno.test("stateLabel() names every state in lower snake case", () => {
  for (const [label, code] of Object.entries(STATE_CODES)) {
    assertEquals(stateLabel(code), label);
    assert(/^[a-z]+(_[a-z]+)*$/.test(label));
  }
});

for (const code of [2, 12, -1, 999]) {
  Deno.test(`stateLabel() shows ${code} as unknown instead of failing`, () =>
    assertEquals(stateLabel(code), `unknown(${code})`));
}

Deno.test("isStateLabel() knows no name that an object merely inherits", () => {
  assert(isStateLabel("ready"));
  for (const text of ["constructor", "toString", "", "READY", "unknown(2)"]) assert(!isStateLabel(text));
});
