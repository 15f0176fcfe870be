import { assertEquals } from "@std/assert";
import type { Compatibility } from "../../src/lifecycle/observe/compatibility.ts";
import type { Observation } from "../../src/lifecycle/observe/observe.ts";
import type { Proof } from "../../src/lifecycle/observe/proof.ts";
import { decideStart, type StartDecision, type StartFacts } from "../../src/lifecycle/start/decide.ts";
import { sampleRecord } from "../registry/sample.ts";
import { held, holder, observationOf, owned } from "./observations.ts";

const FITS: Compatibility = { kind: "compatible", reason: "exact" };
const OLDER: Compatibility = { kind: "incompatible", reason: "version_mismatch" };
const WS_DIFFERS: Compatibility = { kind: "incompatible", reason: "ws_port_mismatch" };
const NAMELESS: Compatibility = { kind: "incompatible", reason: "name_mismatch" };
const PROOF: Proof = { kind: "managed_record", targets: [{ pid: 9, start_token: "token-9" }] };

const NOTHING = observationOf();
const FOREIGN = observationOf({ port: held(holder(9)) });
const UNSEEN = observationOf({ port: { kind: "held", holders: [], unnamed: 1 } });

function ours(given: Partial<Observation> = {}): Observation {
  return observationOf({
    record: sampleRecord({ pid: 7, start_token: "token-7" }),
    process: { kind: "ours" },
    liveness: { kind: "alive" },
    owned: [owned(7)],
    listenerPids: new Set([7]),
    port: held(holder(7, { owned: true })),
    ...given,
  });
}

const STARTING = ours({ record: sampleRecord({ ready_at: null }), port: { kind: "free" } });
const ROBBED = ours({ port: held(holder(9)), listenerPids: new Set([9]) });

function facts(given: Partial<StartFacts>): StartFacts {
  return {
    hasActed: false,
    observed: NOTHING,
    restart: false,
    changed: [],
    expectedName: "docs",
    answer: null,
    isOtherServer: false,
    proof: null,
    command: "not_asked",
    reserved: false,
    ...given,
  };
}

const answered = (compatibility: Compatibility) => ({ answered: true, compatibility });
const silent = { answered: false, compatibility: { kind: "incompatible", reason: "unknown" } as const };
const replaces = (
  reason: Extract<StartDecision, { kind: "replace" }>["reason"],
  proof: Proof | null = null,
) => ({ kind: "replace", reason, proof }) as const;

const CASES: { name: string; facts: Partial<StartFacts>; decision: StartDecision }[] = [
  {
    name: "does nothing, whatever it sees, when a start already happened",
    facts: { hasActed: true, observed: FOREIGN, restart: true, proof: PROOF, answer: answered(OLDER) },
    decision: { kind: "guarded" },
  },
  {
    name: "touches nothing when it can't be told whether the recorded process is ours",
    facts: {
      observed: observationOf({
        liveness: { kind: "unknown", why: "pid 7: hidepid" },
        port: held(holder(7)),
      }),
      proof: PROOF,
      restart: true,
      answer: answered(OLDER),
    },
    decision: { kind: "unknown", why: "pid 7: hidepid" },
  },

  // ------------------------------------------------------------------------------------------------- a free port
  { name: "looks for the command when the port is free", facts: {}, decision: { kind: "find_command" } },
  { name: "spawns when the command was found", facts: { command: "found" }, decision: { kind: "spawn" } },
  {
    name: "spawns without a name to expect as well",
    facts: { command: "found", expectedName: null },
    decision: { kind: "spawn" },
  },
  {
    name: "says that there is no command before it says that the port is reserved",
    facts: { command: "missing", reserved: true },
    decision: { kind: "no_command" },
  },
  {
    name: "spawns nothing on a reserved port",
    facts: { command: "found", reserved: true },
    decision: { kind: "port_excluded" },
  },
  {
    name: "spawns when the record is of a dead process",
    facts: { observed: observationOf({ record: sampleRecord() }), command: "found" },
    decision: { kind: "spawn" },
  },
  {
    name: "spawns when a restart was asked and nothing runs",
    facts: { restart: true, command: "found" },
    decision: { kind: "spawn" },
  },
  {
    name: "spawns when the definition changed and nothing runs",
    facts: { changed: ["args"], command: "found" },
    decision: { kind: "spawn" },
  },
  {
    name: "waits for the child of a start that was cut off instead of spawning a second",
    facts: { observed: observationOf({ pending: [44] }), command: "found" },
    decision: { kind: "await", wasReady: false },
  },

  // --------------------------------------------------------------------------------------------------- a foreign process
  {
    name: "asks a foreign process who it is when there is a name to expect",
    facts: { observed: FOREIGN },
    decision: { kind: "ask_holder", owned: false },
  },
  {
    name: "adopts nobody without a name to expect, however well it answers",
    facts: { observed: FOREIGN, expectedName: null, answer: answered(FITS), proof: PROOF },
    decision: { kind: "foreign_port" },
  },
  {
    name: "adopts the right server that somebody else started, as external",
    facts: { observed: FOREIGN, answer: answered(FITS) },
    decision: { kind: "adopt_external" },
  },
  {
    name: "adopts the right server rather than ending it when there would be a proof",
    facts: { observed: FOREIGN, answer: answered(FITS), proof: PROOF },
    decision: { kind: "adopt_external" },
  },
  {
    name: "refuses a foreign process of another version without a proof",
    facts: { observed: FOREIGN, answer: answered(OLDER) },
    decision: { kind: "incompatible", compatibility: OLDER },
  },
  {
    name: "refuses a foreign process on another WebSocket port without a proof",
    facts: { observed: FOREIGN, answer: answered(WS_DIFFERS) },
    decision: { kind: "incompatible", compatibility: WS_DIFFERS },
  },
  {
    name: "refuses a holder of another name as incompatible, not as a foreign port",
    facts: { observed: FOREIGN, answer: answered(NAMELESS) },
    decision: { kind: "incompatible", compatibility: NAMELESS },
  },
  {
    name: "refuses a holder that does not answer",
    facts: { observed: FOREIGN, answer: silent },
    decision: { kind: "incompatible", compatibility: silent.compatibility },
  },
  {
    name: "refuses a restart that would end a foreign process",
    facts: { observed: FOREIGN, answer: answered(OLDER), restart: true, changed: ["args"] },
    decision: { kind: "incompatible", compatibility: OLDER },
  },
  {
    name: "asks a holder that can't be seen who it is",
    facts: { observed: UNSEEN },
    decision: { kind: "ask_holder", owned: false },
  },
  {
    name: "calls a holder that can't be seen a foreign port when there is no name to expect",
    facts: { observed: UNSEEN, expectedName: null },
    decision: { kind: "foreign_port" },
  },
  {
    name: "replaces a wrong holder that a proof names",
    facts: { observed: FOREIGN, answer: answered(OLDER), proof: PROOF },
    decision: replaces("proof", PROOF),
  },
  {
    name: "does not wait for a cut-off start when a foreign process has the port",
    facts: { observed: observationOf({ pending: [44], port: held(holder(9)) }), answer: answered(OLDER) },
    decision: { kind: "incompatible", compatibility: OLDER },
  },

  // --------------------------------------------------------------------------------------------------------- ours
  {
    name: "asks our own server for its readiness",
    facts: { observed: ours() },
    decision: { kind: "ask_holder", owned: true },
  },
  {
    name: "asks our own server also without a name to expect",
    facts: { observed: ours(), expectedName: null },
    decision: { kind: "ask_holder", owned: true },
  },
  {
    name: "adopts our own server when it is the right one",
    facts: { observed: ours(), answer: answered(FITS) },
    decision: { kind: "adopt_managed" },
  },
  {
    name: "adopts our own server beside a foreign process on the same port",
    facts: { observed: ours({ port: held(holder(9), holder(7, { owned: true })) }), answer: answered(FITS) },
    decision: { kind: "adopt_managed" },
  },
  {
    name: "adopts our own server when its listener can't be seen",
    facts: { observed: ours({ port: { kind: "held", holders: [], unnamed: 1 } }), answer: answered(FITS) },
    decision: { kind: "adopt_managed" },
  },
  {
    name: "replaces our own server of another version",
    facts: { observed: ours(), answer: answered(OLDER) },
    decision: replaces("version"),
  },
  {
    name: "replaces our own server on another WebSocket port",
    facts: { observed: ours(), answer: answered(WS_DIFFERS) },
    decision: replaces("version"),
  },
  {
    name: "replaces our own server that was ready once and fell silent",
    facts: { observed: ours(), answer: silent },
    decision: replaces("silent"),
  },
  {
    name: "waits for our own server that never was ready yet",
    facts: { observed: ours({ record: sampleRecord({ ready_at: null }) }), answer: silent },
    decision: { kind: "await", wasReady: false },
  },
  {
    name: "waits for our own process that does not listen yet",
    facts: { observed: STARTING },
    decision: { kind: "await", wasReady: false },
  },
  {
    name: "waits for a server that was ready and hands over right now",
    facts: { observed: ours({ port: { kind: "free" } }) },
    decision: { kind: "await", wasReady: true },
  },
  {
    name: "replaces our own server when the user asked for it",
    facts: { observed: ours(), restart: true, answer: answered(FITS) },
    decision: replaces("asked"),
  },
  {
    name: "replaces our own starting server when the user asked for it",
    facts: { observed: STARTING, restart: true },
    decision: replaces("asked"),
  },
  {
    name: "replaces our own server when its definition changed, before it asks it anything",
    facts: { observed: ours(), changed: ["args"] },
    decision: replaces("definition_changed"),
  },

  // ------------------------------------------------------------------------------------- a foreign process beside ours
  {
    name: "asks the foreign process that took the port of our living server",
    facts: { observed: ROBBED },
    decision: { kind: "ask_holder", owned: false },
  },
  {
    name: "ends only our own when a foreign process without a name has its port",
    facts: { observed: ROBBED, expectedName: null },
    decision: replaces("port_lost"),
  },
  {
    name: "ends only our own when the foreign process on its port is another server and nothing proves more",
    facts: { observed: ROBBED, answer: answered(OLDER) },
    decision: replaces("port_lost"),
  },
  {
    name: "ends only our own when the foreign process on its port is the right server",
    facts: { observed: ROBBED, answer: answered(FITS), proof: PROOF },
    decision: replaces("port_lost"),
  },
  {
    name: "ends what the proof names when the holder of our port is the wrong one",
    facts: { observed: ROBBED, answer: answered(OLDER), proof: PROOF },
    decision: replaces("proof", PROOF),
  },
];

for (const { name, facts: given, decision } of CASES) {
  Deno.test(`decideStart() ${name}`, () => assertEquals(decideStart(facts(given)), decision));
}
