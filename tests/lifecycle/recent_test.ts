import { assertEquals } from "@std/assert";
import { isStillGone } from "../../src/lifecycle/start/server_start.ts";
import { sampleRecord } from "../registry/sample.ts";
import { holder, observationOf } from "./observations.ts";

const PORT = 3001;
const record = sampleRecord({ port: PORT });
const gone = observationOf({ record });
const now = { record, port: PORT, now: 1100 };
const at = 1000;

const cases: [boolean, string, Parameters<typeof isStillGone>][] = [
  [true, "the same record", [{ observed: gone, at }, now]],
  [true, "its record marked as crashed", [{ observed: gone, at }, {
    ...now,
    record: { ...record, state: "crashed" },
  }]],
  [false, "an older look", [{ observed: gone, at: 800 }, now]],
  [false, "the record of another start", [{ observed: gone, at }, {
    ...now,
    record: { ...record, token: `${record.token}x` },
  }]],
  [false, "another process in the record", [{ observed: gone, at }, {
    ...now,
    record: { ...record, pid: 5 },
  }]],
  [false, "no record", [{ observed: gone, at }, { ...now, record: null }]],
  [false, "another port", [{ observed: gone, at }, { ...now, port: PORT + 1 }]],
  [false, "a process that lives", [{ observed: { ...gone, liveness: { kind: "alive" } }, at }, now]],
  [false, "a process that can't be seen", [{
    observed: { ...gone, liveness: { kind: "unknown", why: "hidden" } },
    at,
  }, now]],
  [false, "a port that is held", [{
    observed: { ...gone, port: { kind: "held", holders: [holder(7)], unnamed: 0 } },
    at,
  }, now]],
  [false, "a child that nobody knows yet", [{ observed: { ...gone, pending: [9] }, at }, now]],
];

for (const [expected, what, args] of cases) {
  Deno.test(`isStillGone() is ${expected} of ${what}`, () => assertEquals(isStillGone(...args), expected));
}
