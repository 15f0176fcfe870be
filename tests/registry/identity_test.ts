import { assertEquals } from "@std/assert";
import type { ProcessFacts, ProcessObservation } from "../../src/host/host.ts";
import { verdict } from "../../src/registry/identity.ts";

const FACTS: ProcessFacts = {
  pid: 2000,
  startTime: "proc:boot:77",
  parentPid: 1,
  groupId: 2000,
  zombie: false,
};

function seen(facts: Partial<ProcessFacts> = {}): ProcessObservation {
  return { kind: "seen", facts: { ...FACTS, ...facts } };
}

const CASES: {
  name: string;
  process: ProcessObservation | undefined;
  token: string | null;
  kind: ReturnType<typeof verdict>["kind"];
}[] = [
  { name: "ours when pid and start token match", process: seen(), token: "proc:boot:77", kind: "ours" },
  {
    name: "recycled when the pid lives with another start time",
    process: seen(),
    token: "proc:boot:76",
    kind: "recycled",
  },
  {
    name: "recycled when the ticks are the same but the boot is another",
    process: seen({ startTime: "proc:later:77" }),
    token: "proc:boot:77",
    kind: "recycled",
  },
  {
    name: "ours when macOS' ps wrote the second down and the system tells the microsecond",
    process: seen({ startTime: "ps:Fri Nov 20 19:07:01 2026.123456" }),
    token: "ps:Fri Nov 20 19:07:01 2026",
    kind: "ours",
  },
  {
    name: "ours when the microsecond was written down and only ps can be asked",
    process: seen({ startTime: "ps:Fri Nov 20 19:07:01 2026" }),
    token: "ps:Fri Nov 20 19:07:01 2026.123456",
    kind: "ours",
  },
  {
    name: "recycled when the pid was given away within the same second",
    process: seen({ startTime: "ps:Fri Nov 20 19:07:01 2026.123456" }),
    token: "ps:Fri Nov 20 19:07:01 2026.123455",
    kind: "recycled",
  },
  { name: "gone when there is no such process", process: { kind: "gone" }, token: "x", kind: "gone" },
  { name: "gone when the pid was never asked for", process: undefined, token: "x", kind: "gone" },
  {
    name: "gone when it is a zombie, although its pid still answers",
    process: seen({ zombie: true }),
    token: "proc:boot:77",
    kind: "gone",
  },
  {
    name: "unknown when the process can't be read",
    process: { kind: "unknown", why: "hidepid" },
    token: "proc:boot:77",
    kind: "unknown",
  },
  { name: "unknown when no start time was recorded", process: seen(), token: null, kind: "unknown" },
  {
    name: "gone when no start time was recorded and no process is there",
    process: { kind: "gone" },
    token: null,
    kind: "gone",
  },
];
for (const { name, process, token, kind } of CASES) {
  Deno.test(`verdict() is ${name}`, () => assertEquals(verdict(process, token).kind, kind));
}
