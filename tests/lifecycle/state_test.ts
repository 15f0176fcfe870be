import { assert, assertEquals } from "@std/assert";
import {
  blocksClients,
  type Incompatibility,
  isDiagnosis,
  isHealthy,
  isLegal,
  StateMachine,
} from "../../src/lifecycle/state.ts";
import { STATE_CODES, type StateLabel } from "../../src/registry/state_label.ts";

const STATES = Object.keys(STATE_CODES) as StateLabel[];

/** Where a state may go beside itself, stopping and stopped. */
const FORWARD: Record<StateLabel, StateLabel[]> = {
  uninitialized: STATES,
  spawning: ["ready", "crashed", "foreign_port", "incompatible"],
  ready: ["incompatible", "crashed"],
  incompatible: [],
  crashed: [],
  no_command: [],
  port_excluded: [],
  foreign_port: ["ready", "incompatible"],
  guarded: [],
  stopping: ["incompatible", "uninitialized"],
  stopped: STATES,
};

for (const from of STATES) {
  Deno.test(`isLegal() lets ${from} become exactly what the table says`, () => {
    for (const to of STATES) {
      const expected = from === to || to === "stopping" || to === "stopped" || FORWARD[from].includes(to);
      assertEquals(isLegal(from, to), expected, `${from} to ${to}`);
    }
  });
}

function machine(state: StateLabel, warnings: string[] = []): StateMachine {
  return new StateMachine({ expectedVersion: "2.4.2", warn: (text) => warnings.push(text), state });
}

for (const from of ["crashed", "no_command", "port_excluded", "incompatible"] as const) {
  Deno.test(`transition() lets ${from} go nowhere but to stopping and stopped`, () => {
    for (const to of STATES) {
      const stays = to === from || to === "stopping" || to === "stopped";
      assertEquals(machine(from).transition(to), stays, to);
    }
  });
}

Deno.test("transition() lets a foreign port become ready or incompatible, but not crashed", () => {
  assert(isDiagnosis("foreign_port"));
  assert(machine("foreign_port").transition("ready"));
  assert(machine("foreign_port").transition("incompatible"));
  assert(!machine("foreign_port").transition("crashed"));
});

Deno.test("transition() never goes from stopping straight to a running state", () => {
  for (const to of ["spawning", "ready", "foreign_port"] as const) {
    assert(!machine("stopping").transition(to), to);
  }
});

Deno.test("transition() rolls a failed recovery or a failed restart back from stopping", () => {
  assert(machine("stopping").transition("incompatible"));
  const restarted = machine("stopping");
  assert(restarted.transition("uninitialized"));
  assert(restarted.transition("incompatible"));
});

Deno.test("transition() leaves guarded only by stopping", () => {
  for (const to of STATES) {
    assertEquals(machine("guarded").transition(to), ["guarded", "stopping", "stopped"].includes(to), to);
  }
});

Deno.test("transition() changes nothing and names both states when the step is illegal", () => {
  const warnings: string[] = [];
  const crashed = machine("crashed", warnings);
  assertEquals(crashed.transition("ready"), false);
  assertEquals(crashed.state, "crashed");
  assertEquals(warnings.length, 1);
  assert(warnings[0]?.includes("crashed") && warnings[0].includes("ready"));
});

Deno.test("transition() to the same state succeeds without a warning", () => {
  for (const state of STATES) {
    const warnings: string[] = [];
    assert(machine(state, warnings).transition(state), state);
    assertEquals(warnings, []);
  }
});

Deno.test("isDiagnosis() knows exactly five diagnoses", () =>
  assertEquals(STATES.filter(isDiagnosis).sort(), [
    "crashed",
    "foreign_port",
    "incompatible",
    "no_command",
    "port_excluded",
  ]));

Deno.test("isHealthy() holds for ready alone", () => assertEquals(STATES.filter(isHealthy), ["ready"]));

Deno.test("blocksClients() holds for incompatible alone, not for a foreign port or a crash", () =>
  assertEquals(STATES.filter(blocksClients), ["incompatible"]));

Deno.test("diagnose() keeps the first diagnosis: a late crash does not hide a reserved port", () => {
  const warnings: string[] = [];
  const excluded = machine("uninitialized", warnings);
  assert(excluded.diagnose("port_excluded", "reserved"));
  assertEquals(excluded.diagnose("crashed", "late"), false);
  assertEquals(excluded.state, "port_excluded");
  assertEquals(excluded.snapshot().message, "reserved");
  assertEquals(warnings, []);
});

Deno.test("diagnose() writes a diagnosis from every other state, whatever the table says", () => {
  for (const from of STATES.filter((state) => !isDiagnosis(state))) {
    const target = machine(from);
    assert(target.diagnose("no_command", "nothing found"), from);
    assertEquals(target.state, "no_command");
  }
});

Deno.test("diagnose() rejects what is no diagnosis, with a warning", () => {
  for (const label of STATES.filter((state) => !isDiagnosis(state))) {
    const warnings: string[] = [];
    const target = machine("spawning", warnings);
    assertEquals(target.diagnose(label, "x"), false);
    assertEquals(target.state, "spawning");
    assertEquals(warnings.length, 1);
  }
});

const FOUND: Incompatibility = {
  message: "an older one",
  actualName: "docs",
  actualVersion: "1.0.0",
  canRecover: true,
};

Deno.test("latchIncompatible() blocks the connection and keeps what was found", () => {
  const target = machine("uninitialized");
  assert(target.latchIncompatible(FOUND));
  assertEquals(target.snapshot(), {
    state: 4,
    exit_ms: 0,
    actual_name: "docs",
    actual_version: "1.0.0",
    expected_version: "2.4.2",
    message: "an older one",
    can_recover_incompatible: true,
    connection_blocked: true,
  });
});

Deno.test("latchIncompatible() changes no flag when the step is refused", () => {
  const target = machine("crashed");
  const before = target.snapshot();
  assertEquals(target.latchIncompatible(FOUND), false);
  assertEquals(target.snapshot(), before);
});

Deno.test("clear() leaves nothing of an old diagnosis", () => {
  const target = machine("uninitialized");
  target.latchIncompatible(FOUND);
  assert(target.transition("stopped"));
  target.clear();
  assertEquals(target.snapshot(), {
    state: 11,
    exit_ms: 0,
    actual_name: "",
    actual_version: "",
    expected_version: "2.4.2",
    message: "",
    can_recover_incompatible: false,
    connection_blocked: false,
  });
});

Deno.test("crashedAfter() keeps the time of the first crash only", () => {
  const target = machine("spawning");
  assert(target.crashedAfter(1234, "it ended"));
  assert(!target.crashedAfter(9999, "again"));
  assertEquals(target.snapshot().exit_ms, 1234);
});

Deno.test("snapshot() keeps its keys for ever", () =>
  assertEquals(Object.keys(machine("ready").snapshot()).sort(), [
    "actual_name",
    "actual_version",
    "can_recover_incompatible",
    "connection_blocked",
    "exit_ms",
    "expected_version",
    "message",
    "state",
  ]));
