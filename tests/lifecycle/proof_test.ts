import { assertEquals } from "@std/assert";
import type { Observation } from "../../src/lifecycle/observe/observe.ts";
import { findProof, type Proof } from "../../src/lifecycle/observe/proof.ts";
import type { StatusSnapshot } from "../../src/mcp/snapshot.ts";
import { sampleRecord } from "../registry/sample.ts";
import { held, holder, observationOf, owned, says } from "./observations.ts";

const RECORD = sampleRecord({ pid: 7, start_token: "token-7", version: "2.4.2" });
const NAMED = says({ name: "docs", version: "2.4.2" });

function at(pid: number): Proof["targets"][number] {
  return { pid, start_token: `token-${pid}` };
}

function alive(given: Partial<Observation>): Observation {
  return observationOf({ record: RECORD, process: { kind: "ours" }, liveness: { kind: "alive" }, ...given });
}

/** Our process lives; the port is held by others. */
const ELSEWHERE = alive({ owned: [owned(7)], port: held(holder(9), holder(10)) });
const DEAD = observationOf({ record: RECORD, port: held(holder(9), holder(10)) });

const CASES: {
  name: string;
  observed: Observation;
  live?: StatusSnapshot | null;
  userAsked?: boolean;
  expectedName?: string | null;
  proof: Proof | null;
}[] = [
  {
    name: "nothing when nobody listens, whatever the status says",
    observed: alive({ owned: [owned(7)] }),
    live: NAMED,
    userAsked: true,
    proof: null,
  },
  {
    name: "nothing when the listeners can't be seen",
    observed: alive({ port: { kind: "held", holders: [], unnamed: 1 } }),
    live: NAMED,
    userAsked: true,
    proof: null,
  },
  {
    name: "nothing when no listener's start time can be read",
    observed: observationOf({ port: held(holder(9, { startTime: null })) }),
    live: NAMED,
    userAsked: true,
    proof: null,
  },
  {
    name: "the recorded listener alone, not its co-listeners",
    observed: alive({ owned: [owned(7)], port: held(holder(7, { owned: true }), holder(9)) }),
    proof: { kind: "managed_record", targets: [at(7)] },
  },
  {
    name: "the recorded listener also when the record is of another version",
    observed: alive({
      record: { ...RECORD, version: "1.0.0" },
      owned: [owned(7)],
      port: held(holder(7, { owned: true })),
    }),
    live: says({ name: "docs", version: "9.9.9" }),
    proof: { kind: "managed_record", targets: [at(7)] },
  },
  {
    name: "the recorded listener also without a version in the record",
    observed: alive({
      record: { ...RECORD, version: null },
      owned: [owned(7)],
      port: held(holder(7, { owned: true })),
    }),
    proof: { kind: "managed_record", targets: [at(7)] },
  },
  {
    name: "nothing when the recorded pid was given to another process that listens",
    observed: observationOf({ record: RECORD, process: { kind: "recycled" }, port: held(holder(7)) }),
    proof: null,
  },
  {
    name: "nothing when the recorded process can't be verified",
    observed: observationOf({
      record: RECORD,
      process: { kind: "unknown", why: "hidepid" },
      port: held(holder(7)),
    }),
    proof: null,
  },
  {
    name: "nothing when the recorded process is gone",
    observed: observationOf({ record: RECORD, process: { kind: "gone" }, port: held(holder(9)) }),
    proof: null,
  },
  {
    name: "the signed listeners through the pid file, without an unbranded co-listener",
    observed: alive({
      process: { kind: "gone" },
      owned: [owned(8, { why: "pid_file" })],
      port: held(holder(8, { owned: true, signed: true }), holder(9, { signed: true }), holder(10)),
    }),
    proof: { kind: "pidfile_listener", targets: [at(8), at(9)] },
  },
  {
    name: "nothing through a pid file whose process does not listen",
    observed: alive({
      process: { kind: "gone" },
      owned: [owned(8, { why: "pid_file" })],
      port: held(holder(9, { signed: true })),
    }),
    proof: null,
  },
  {
    name: "nothing through a brand alone",
    observed: observationOf({ record: RECORD, port: held(holder(9, { signed: true })) }),
    proof: null,
  },
  {
    name: "the listeners that carry our cookie, and no others",
    observed: alive({
      process: { kind: "gone" },
      owned: [owned(8, { why: "cookie" })],
      port: held(holder(8, { owned: true }), holder(9)),
    }),
    proof: { kind: "cookie", targets: [at(8)] },
  },
  {
    name: "all listeners when the status matches the record of a living server",
    observed: ELSEWHERE,
    live: NAMED,
    proof: { kind: "status_matches_record", targets: [at(9), at(10)] },
  },
  {
    name: "nothing when the status matches the record of a dead server",
    observed: DEAD,
    live: NAMED,
    proof: null,
  },
  {
    name: "nothing when the status tells another version than the record",
    observed: ELSEWHERE,
    live: says({ name: "docs", version: "2.4.3" }),
    proof: null,
  },
  {
    name: "nothing when both the status and the record have no version",
    observed: alive({ record: { ...RECORD, version: "" }, owned: [owned(7)], port: held(holder(9)) }),
    live: says({ name: "docs", version: "" }),
    proof: null,
  },
  {
    name: "nothing when the record has no version",
    observed: alive({ record: { ...RECORD, version: null }, owned: [owned(7)], port: held(holder(9)) }),
    live: NAMED,
    proof: null,
  },
  {
    name: "nothing through the status name alone when nobody asked",
    observed: observationOf({ port: held(holder(9)) }),
    live: NAMED,
    proof: null,
  },
  {
    name: "all listeners through the status name when the user asked",
    observed: observationOf({ port: held(holder(9), holder(10)) }),
    live: says({ name: "docs", version: "1.0.0" }),
    userAsked: true,
    proof: { kind: "status_name", targets: [at(9), at(10)] },
  },
  {
    name: "only a name's word when the user asked and the record is of a dead server",
    observed: DEAD,
    live: NAMED,
    userAsked: true,
    proof: { kind: "status_name", targets: [at(9), at(10)] },
  },
  {
    name: "nothing when the user asked and the name is another one",
    observed: observationOf({ port: held(holder(9)) }),
    live: says({ name: "other", version: "2.4.2" }),
    userAsked: true,
    proof: null,
  },
  {
    name: "nothing when the user asked and the holder did not answer",
    observed: observationOf({ port: held(holder(9)) }),
    live: null,
    userAsked: true,
    proof: null,
  },
  {
    name: "nothing when the user asked, no name is expected and none is told",
    observed: observationOf({ port: held(holder(9)) }),
    live: says({ name: "" }),
    userAsked: true,
    expectedName: null,
    proof: null,
  },
  {
    name: "nobody whose start time can't be read, among others",
    observed: observationOf({ port: held(holder(9, { startTime: null }), holder(10)) }),
    live: NAMED,
    userAsked: true,
    proof: { kind: "status_name", targets: [at(10)] },
  },
  {
    name: "never pid 0 or 1, among others",
    observed: observationOf({ port: held(holder(0), holder(1), holder(10)) }),
    live: NAMED,
    userAsked: true,
    proof: { kind: "status_name", targets: [at(10)] },
  },
  {
    name: "nothing when the record names pid 1",
    observed: alive({
      record: { ...RECORD, pid: 1, start_token: "token-1" },
      port: held(holder(1)),
    }),
    live: NAMED,
    userAsked: true,
    proof: null,
  },
];

for (const { name, observed, live = null, userAsked = false, expectedName = "docs", proof } of CASES) {
  Deno.test(`findProof() names ${name}`, () =>
    assertEquals(findProof({ observed, live, expectedName, userAsked }), proof));
}
