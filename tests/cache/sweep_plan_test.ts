import { assertEquals } from "@std/assert";
import { type BuildEntry, planSweep, type SweepObservation, type SweepStep } from "../../src/cache/sweep.ts";

const hourMs = 3_600_000;
const now = 100 * hourMs;

function entry(name: string, changes: Partial<BuildEntry> = {}): BuildEntry {
  return { name, kind: "directory", modifiedAt: now - 2 * hourMs, use: { kind: "free" }, ...changes };
}

function plan(entries: BuildEntry[], changes: Partial<SweepObservation> = {}): SweepStep[] {
  return planSweep({
    entries,
    lock: "ours",
    needsLock: true,
    now,
    minAgeMs: hourMs,
    system: "linux",
    ...changes,
  });
}

const cases: { when: string; entries: BuildEntry[]; seen?: Partial<SweepObservation>; steps: SweepStep[] }[] =
  [
    {
      when: "buries a temporary folder that is old enough",
      entries: [entry(".tmpA", { modifiedAt: now - hourMs })],
      steps: [{ kind: "bury", name: ".tmpA", deadName: "_dead_.tmpA" }],
    },
    {
      when: "deletes a dead folder of any age",
      entries: [entry("_dead_.tmpA", { modifiedAt: now }), entry("_dead_", { modifiedAt: now })],
      steps: [{ kind: "delete", name: "_dead_.tmpA" }, { kind: "delete", name: "_dead_" }],
    },
    {
      when: "keeps a young temporary folder",
      entries: [
        entry(".tmpA", { modifiedAt: now - hourMs + 1 }),
        entry(".tmpB", { modifiedAt: now + hourMs }),
      ],
      steps: [{ kind: "skip", name: ".tmpA", reason: "young" }, {
        kind: "skip",
        name: ".tmpB",
        reason: "young",
      }],
    },
    {
      when: "knows no young folder without a minimum age",
      entries: [entry(".tmpA", { modifiedAt: now + hourMs })],
      seen: { minAgeMs: 0 },
      steps: [{ kind: "bury", name: ".tmpA", deadName: "_dead_.tmpA" }],
    },
    {
      when: "ignores files and folders of other names",
      entries: [
        entry(".tmpA", { kind: "file" }),
        entry("_dead_x", { kind: "file" }),
        entry("keep"),
        entry("tmpA"),
        entry(".TMPA"),
        entry("x.tmp"),
        entry(".tmp-pipe", { kind: "other" }),
      ],
      steps: [".tmpA", "_dead_x", "keep", "tmpA", ".TMPA", "x.tmp", ".tmp-pipe"].map((name) => ({
        kind: "ignore",
        name,
      })),
    },
    {
      when: "never follows a link",
      entries: [
        entry(".tmpA", { kind: "link" }),
        entry("_dead_.tmpB", { kind: "link" }),
        entry("x", { kind: "link" }),
      ],
      steps: [
        { kind: "skip", name: ".tmpA", reason: "link" },
        { kind: "skip", name: "_dead_.tmpB", reason: "link" },
        { kind: "ignore", name: "x" },
      ],
    },
    {
      when: "keeps what a live process uses, and what nobody can tell of",
      entries: [
        entry(".tmpA", { use: { kind: "busy", pids: [7] } }),
        entry("_dead_.tmpB", { use: { kind: "busy", pids: [7] } }),
        entry(".tmpC", { use: { kind: "unknown", why: "lsof is missing" } }),
      ],
      steps: [
        { kind: "skip", name: ".tmpA", reason: "busy" },
        { kind: "skip", name: "_dead_.tmpB", reason: "busy" },
        { kind: "skip", name: ".tmpC", reason: "unknown" },
      ],
    },
    {
      when: "leaves a folder whose dead name is taken, even by a file",
      entries: [entry(".tmpA"), entry("_dead_.tmpA"), entry(".tmpB"), entry("_dead_.tmpB", { kind: "file" })],
      steps: [
        { kind: "skip", name: ".tmpA", reason: "target_exists" },
        { kind: "delete", name: "_dead_.tmpA" },
        { kind: "skip", name: ".tmpB", reason: "target_exists" },
        { kind: "ignore", name: "_dead_.tmpB" },
      ],
    },
    {
      when: "touches nothing while a uv holds its lock",
      entries: [entry(".tmpA"), entry("_dead_.tmpB")],
      seen: { lock: "held" },
      steps: [
        { kind: "skip", name: ".tmpA", reason: "locked" },
        { kind: "skip", name: "_dead_.tmpB", reason: "locked" },
      ],
    },
    {
      when: "touches nothing where the lock can't be tried",
      entries: [entry(".tmpA")],
      seen: { lock: "unknown" },
      steps: [{ kind: "skip", name: ".tmpA", reason: "unknown" }],
    },
    {
      when: "leaves what vanished between the listing and the look",
      entries: [entry(".tmpA", { modifiedAt: null })],
      steps: [{ kind: "skip", name: ".tmpA", reason: "gone" }],
    },
    {
      when: "never touches a name that leads out of the folder",
      entries: [entry(".tmp/../../x"), entry("_dead_/x"), entry(".tmp\\x")],
      steps: [
        { kind: "skip", name: ".tmp/../../x", reason: "not_a_folder" },
        { kind: "skip", name: "_dead_/x", reason: "not_a_folder" },
        { kind: "bury", name: ".tmp\\x", deadName: "_dead_.tmp\\x" },
      ],
    },
    {
      when: "knows the separators of Windows there",
      entries: [entry(".tmp\\..\\x"), entry(".tmp:stream")],
      seen: { system: "windows" },
      steps: [
        { kind: "skip", name: ".tmp\\..\\x", reason: "not_a_folder" },
        { kind: "skip", name: ".tmp:stream", reason: "not_a_folder" },
      ],
    },
    {
      when: "takes odd names as they are",
      entries: [entry(".tmp\n\u001b[31m"), entry(".tmp")],
      steps: [
        { kind: "bury", name: ".tmp\n\u001b[31m", deadName: "_dead_.tmp\n\u001b[31m" },
        { kind: "bury", name: ".tmp", deadName: "_dead_.tmp" },
      ],
    },
  ];

for (const { when, entries, seen, steps } of cases) {
  Deno.test(`planSweep() ${when}`, () => assertEquals(plan(entries, seen), steps));
}
