import { assertEquals } from "@std/assert";
import { advance, nextState, type StateEvent } from "../../src/lifecycle/state.ts";
import { STATE_CODES, type StateLabel } from "../../src/registry/state_label.ts";
import { sampleRecord } from "../registry/sample.ts";

const STATES = Object.keys(STATE_CODES) as StateLabel[];

const SEEN: [StateEvent, StateLabel][] = [
  ["spawn", "spawning"],
  ["ready", "ready"],
  ["crash", "crashed"],
  ["stop", "stopping"],
  ["end", "stopped"],
];

for (const [event, to] of SEEN) {
  Deno.test(`nextState() makes every state ${to} at "${event}", which foster itself saw or did`, () => {
    for (const from of STATES) assertEquals(nextState(from, event), to, from);
  });
}

Deno.test("nextState() at doubt leaves a start that was given up crashed, and takes another for one that goes on", () => {
  for (const from of STATES) {
    assertEquals(nextState(from, "doubt"), from === "crashed" ? "crashed" : "spawning", from);
  }
});

/** States that the word of a client does not change. */
const DEAF: StateLabel[] = ["crashed", "no_command", "port_excluded", "guarded", "stopping"];

Deno.test("nextState() makes nothing ready by a client's word that is crashed, guarded or being stopped", () => {
  for (const from of STATES) {
    assertEquals(nextState(from, "client_accepts"), DEAF.includes(from) ? from : "ready", from);
  }
});

Deno.test("nextState() lets a client's word reject what is there, also what a failed recovery left", () => {
  for (const from of STATES) {
    const stays = DEAF.includes(from) && from !== "stopping";
    assertEquals(nextState(from, "client_rejects"), stays ? from : "incompatible", from);
  }
});

Deno.test("nextState() lets a client take back that it rejected the server", () =>
  assertEquals(nextState("incompatible", "client_accepts"), "ready"));

Deno.test("advance() changes nothing of a record but its state", () => {
  const record = sampleRecord({ state: "spawning" });
  assertEquals(advance(record, "ready"), { ...record, state: "ready" });
});
