import { assertEquals } from "@std/assert";
import type { ProcessFacts, ProcessObservation } from "../../src/host/host.ts";
import {
  findOwned,
  liveness,
  ownedTargets,
  type OwnershipEvidence,
} from "../../src/lifecycle/observe/ownership.ts";
import type { ServerRecord } from "../../src/registry/record.ts";
import { sampleRecord } from "../registry/sample.ts";
import { owned } from "./observations.ts";

/** Launcher 100 leads the group; it started the listener 101. */
const RECORD = sampleRecord({
  pid: 101,
  start_token: "token-101",
  pgid: 100,
  launcher_pid: 100,
  launcher_start_token: "token-100",
});

function process(pid: number, given: Partial<ProcessFacts> = {}): ProcessFacts {
  return { pid, startTime: `token-${pid}`, parentPid: 1, groupId: pid, zombie: false, ...given };
}

const LAUNCHER = process(100);
const LISTENER = process(101, { parentPid: 100, groupId: 100 });

function evidence(
  processes: ProcessFacts[],
  given: Partial<Omit<OwnershipEvidence, "processes">> = {},
): OwnershipEvidence {
  return {
    record: RECORD,
    seen: new Map(
      processes.map((facts): [number, ProcessObservation] => [facts.pid, { kind: "seen", facts }]),
    ),
    processes,
    listenerPids: new Set(),
    carriers: new Set(),
    workerParents: new Map(),
    signedPidFile: null,
    ...given,
  };
}

const CASES: { name: string; evidence: OwnershipEvidence; owned: Record<number, string> }[] = [
  {
    name: "the recorded listener and its launcher",
    evidence: evidence([LAUNCHER, LISTENER]),
    owned: { 100: "launcher", 101: "record" },
  },
  {
    name: "nobody when both recorded pids were given to others",
    evidence: evidence([
      process(100, { startTime: "later" }),
      process(101, { groupId: 100, startTime: "later" }),
    ]),
    owned: {},
  },
  {
    name: "nobody of a group whose number was given to others",
    evidence: evidence([
      process(100, { startTime: "later" }),
      process(105, { groupId: 100 }),
      process(106, { groupId: 100 }),
    ]),
    owned: {},
  },
  {
    name: "nobody of a group that only a process outside of it would prove",
    evidence: evidence([process(101, { groupId: 101 }), process(105, { groupId: 100 })]),
    owned: { 101: "record" },
  },
  {
    name: "the rest of the group when its leader is gone and the recorded listener lives in it",
    evidence: evidence([LISTENER, process(105, { groupId: 100 })]),
    owned: { 101: "record", 105: "group" },
  },
  {
    name: "the rest of the group when its leader is a zombie, but not the zombie",
    evidence: evidence([process(100, { zombie: true }), process(105, { groupId: 100 })]),
    owned: { 105: "group" },
  },
  {
    name: "nobody when the recorded listener is a zombie",
    evidence: evidence([process(101, { zombie: true })]),
    owned: {},
  },
  {
    name: "a carrier of the cookie that listens on the recorded port",
    evidence: evidence([process(300)], { carriers: new Set([300]), listenerPids: new Set([300]) }),
    owned: { 300: "cookie" },
  },
  {
    name: "a carrier of the cookie in the recorded group",
    evidence: evidence([process(300, { groupId: 100 })], { carriers: new Set([300]) }),
    owned: { 300: "cookie" },
  },
  {
    name: "no foreign process that merely inherited the cookie",
    evidence: evidence([LAUNCHER, LISTENER, process(300)], { carriers: new Set([300]) }),
    owned: { 100: "launcher", 101: "record" },
  },
  {
    name: "no listener without the cookie",
    evidence: evidence([process(300)], { listenerPids: new Set([300]) }),
    owned: {},
  },
  {
    name: "the branded process of a fresh pid file",
    evidence: evidence([process(300)], { signedPidFile: 300, listenerPids: new Set([300]) }),
    owned: { 300: "pid_file" },
  },
  {
    name:
      "no branded process of a fresh pid file that is not where our server is: the number may be another's now",
    evidence: evidence([process(300)], { signedPidFile: 300 }),
    owned: {},
  },
  {
    name: "the child of ours that left the group, as part of the tree",
    evidence: evidence([LAUNCHER, LISTENER, process(300, { parentPid: 101 })]),
    owned: { 100: "launcher", 101: "record", 300: "tree" },
  },
  {
    name: "the grandchild behind a child that left the group",
    evidence: evidence([LISTENER, process(301, { parentPid: 300 }), process(300, { parentPid: 101 })]),
    owned: { 101: "record", 300: "tree", 301: "tree" },
  },
  {
    name: "no orphan that went to init",
    evidence: evidence([LISTENER, process(300, { parentPid: 1 })]),
    owned: { 101: "record" },
  },
  {
    name: "nobody below a recycled pid",
    evidence: evidence([process(101, { startTime: "later" }), process(300, { parentPid: 101 })]),
    owned: {},
  },
  {
    name: "never pid 0 or 1, also when a record names them",
    evidence: evidence(
      [process(1, { groupId: 1, parentPid: 0 }), process(300, { parentPid: 1, groupId: 1 })],
      {
        record: sampleRecord({
          pid: 1,
          start_token: "token-1",
          pgid: 1,
          launcher_pid: 1,
          launcher_start_token: "token-1",
        }),
        carriers: new Set([1]),
        listenerPids: new Set([1]),
        workerParents: new Map(),
        signedPidFile: 1,
      },
    ),
    owned: {},
  },
  {
    name: "nobody of group 0",
    evidence: evidence([process(300, { groupId: 0 }), process(101, { groupId: 0 })], {
      record: { ...RECORD, pgid: 0 },
    }),
    owned: { 101: "record" },
  },
  {
    name: "nobody through a pid without a recorded start time",
    evidence: evidence([LISTENER], { record: { ...RECORD, start_token: null } }),
    owned: {},
  },
];
for (const { name, evidence: given, owned: expected } of CASES) {
  Deno.test(`findOwned() names ${name}`, () => {
    const found = findOwned(given).map(({ pid, why }) => [pid, why]);
    assertEquals(Object.fromEntries(found), expected);
  });
}

const at = (pid: number) => ({ pid, start_token: `token-${pid}` });

const TARGETS: {
  name: string;
  owned: Parameters<typeof ownedTargets>[0];
  listeners?: number[];
  groups: Record<number, number[]>;
  processes: number[];
}[] = [
  {
    name: "the group with all in it",
    owned: [
      owned(100, { why: "launcher" }),
      owned(101, { groupId: 100 }),
      owned(105, { groupId: 100, why: "group" }),
    ],
    groups: { 100: [100, 101, 105] },
    processes: [],
  },
  {
    name: "the group of a dead leader through its members",
    owned: [owned(101, { groupId: 100 }), owned(105, { groupId: 100, why: "group" })],
    groups: { 100: [101, 105] },
    processes: [],
  },
  {
    name: "one process alone when it is in somebody else's group",
    owned: [owned(300, { groupId: 299, why: "cookie" })],
    groups: {},
    processes: [300],
  },
  {
    name: "no child that left the group and does not listen",
    owned: [owned(100), owned(300, { why: "tree" })],
    groups: { 100: [100] },
    processes: [],
  },
  {
    name: "a child that left the group and listens on our port, with its own group",
    owned: [owned(100), owned(300, { why: "tree" }), owned(301, { groupId: 300, why: "tree" })],
    listeners: [300],
    groups: { 100: [100], 300: [300, 301] },
    processes: [],
  },
  {
    name: "the whole tree where the system has no groups",
    owned: [owned(100, { groupId: 0 }), owned(101, { groupId: 0, why: "tree" })],
    groups: {},
    processes: [100, 101],
  },
  { name: "nothing of nothing", owned: [], groups: {}, processes: [] },
];
for (const { name, owned: given, listeners = [], groups, processes } of TARGETS) {
  Deno.test(`ownedTargets() ends ${name}`, () =>
    assertEquals(ownedTargets(given, new Set(listeners)), {
      groups: Object.entries(groups).map(([groupId, members]) => ({
        groupId: Number(groupId),
        members: members.map(at),
      })),
      processes: processes.map(at),
    }));
}

function seenOf(...seen: [number, ProcessObservation][]): Map<number, ProcessObservation> {
  return new Map(seen);
}

const LIVENESS: {
  name: string;
  record: ServerRecord;
  seen: Map<number, ProcessObservation>;
  kind: string;
}[] = [
  { name: "dead when both recorded processes are gone", record: RECORD, seen: seenOf(), kind: "dead" },
  {
    name: "dead when the recorded pid was given to another",
    record: RECORD,
    seen: seenOf([101, { kind: "seen", facts: process(101, { startTime: "later" }) }]),
    kind: "dead",
  },
  {
    name: "dead when the recorded process is a zombie",
    record: RECORD,
    seen: seenOf([101, { kind: "seen", facts: process(101, { zombie: true }) }]),
    kind: "dead",
  },
  {
    name: "unknown when the listener can't be read",
    record: RECORD,
    seen: seenOf([101, { kind: "unknown", why: "hidepid" }]),
    kind: "unknown",
  },
  {
    name: "unknown when the launcher can't be read",
    record: RECORD,
    seen: seenOf([100, { kind: "unknown", why: "hidepid" }]),
    kind: "unknown",
  },
  {
    name: "dead when the start never got a process",
    record: { ...RECORD, pid: null, launcher_pid: null },
    seen: seenOf(),
    kind: "dead",
  },
];
for (const { name, record, seen, kind } of LIVENESS) {
  Deno.test(`liveness() is ${name}`, () => assertEquals(liveness(record, seen, []).kind, kind));
}

Deno.test("liveness() is alive as soon as one process is ours, whoever else can't be read", () =>
  assertEquals(
    liveness(RECORD, seenOf([101, { kind: "unknown", why: "hidepid" }]), [owned(100)]).kind,
    "alive",
  ));
