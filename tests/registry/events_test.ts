import { assert, assertEquals } from "@std/assert";
import {
  lastRecord,
  parseEvent,
  parseEvents,
  type ServerEvent,
  trimEvents,
} from "../../src/registry/events.ts";
import { StateFolder } from "../../src/registry/store.ts";
import type { ServerRecord } from "../../src/registry/record.ts";
import { FakeHost } from "../host/fake_host.ts";
import { sampleRecord } from "./sample.ts";

const AT = "2026-01-01T00:00:00.000Z";

function line(event: Partial<ServerEvent>): string {
  return JSON.stringify({ at: AT, event: "ready", ...event });
}

Deno.test("parseEvents() reads the events in their order", () =>
  assertEquals(
    parseEvents(`${line({ event: "spawning" })}\n${line({ event: "ready", pid: 7 })}\n`),
    [{ at: AT, event: "spawning" }, { at: AT, event: "ready", pid: 7 }],
  ));

Deno.test("parseEvents() passes over a line that was torn, wherever that happened", () => {
  const torn = line({ event: "crashed", message: "ended with exit code 1" });
  for (let length = 0; length < torn.length; length++) {
    const text = `${line({ event: "spawning" })}\n${torn.slice(0, length)}\n${line({ event: "ready" })}\n`;
    assertEquals(parseEvents(text).map(({ event }) => event), ["spawning", "ready"], `cut after ${length}`);
  }
});

for (const text of ["", "null", "[]", "17", "{}", '{"at":1,"event":"ready"}', '{"at":"now"}', "\0"]) {
  Deno.test(`parseEvent() reads nothing from ${JSON.stringify(text)}`, () =>
    assertEquals(parseEvent(text), null));
}

function event(name: ServerEvent["event"], record?: ServerRecord): ServerEvent {
  return { at: AT, event: name, ...(record === undefined ? {} : { record }) };
}

const OLD = sampleRecord({ pid: 2001 });
const NEW = sampleRecord({ pid: 2002 });

const LAST: { name: string; events: ServerEvent[]; expected: ServerRecord | null }[] = [
  { name: "nothing when there is no event", events: [], expected: null },
  { name: "the newest record", events: [event("spawned", OLD), event("spawned", NEW)], expected: NEW },
  {
    name: "the newest record when events without one follow",
    events: [event("spawned", NEW), event("probe_failed"), event("restarting")],
    expected: NEW,
  },
  {
    name: "nothing when the server was stopped after it",
    events: [event("spawned", OLD), event("stopped"), event("verdict")],
    expected: null,
  },
  {
    name: "the start after a stop",
    events: [event("spawned", OLD), event("stopped"), event("spawned", NEW)],
    expected: NEW,
  },
  {
    name: "the one before when the newest is malformed",
    events: [event("spawned", OLD), event("spawned", { ...NEW, argv: "x" } as never)],
    expected: OLD,
  },
  {
    name: "nothing when the record is another server's",
    events: [event("spawned", sampleRecord({ key: "other" }))],
    expected: null,
  },
];
for (const { name, events, expected } of LAST) {
  Deno.test(`lastRecord() finds ${name}`, () => assertEquals(lastRecord(events, "docs"), expected));
}

Deno.test("trimEvents() keeps the newest lines within the size", () => {
  const lines = Array.from({ length: 100 }, (_, n) => line({ event: "verdict", message: `m${n}` }));
  const withRecord = line({ event: "spawned", record: NEW });
  const kept = parseEvents(trimEvents([withRecord, ...lines].join("\n") + "\n", 500));
  assertEquals(kept.at(-1)?.message, "m99");
  assert(kept.length < 12);
});

Deno.test("trimEvents() keeps the newest record even when it is older than all that fits", () => {
  const noise = Array.from({ length: 50 }, (_, n) => line({ event: "verdict", message: `m${n}` }));
  const text = [
    line({ event: "spawned", record: OLD }),
    line({ event: "spawned", record: NEW }),
    ...noise,
  ].join("\n");
  const kept = parseEvents(trimEvents(text + "\n", 400));
  assertEquals(lastRecord(kept, "docs"), NEW);
  assertEquals(kept.filter((each) => each.record !== undefined).length, 1);
});

Deno.test("trimEvents() keeps the order and ends with a whole line", () => {
  const text = ["a", "b", "c"].map((message) => line({ message })).join("\n") + "\n";
  assertEquals(trimEvents(text, 10_000), text);
});

Deno.test("event() keeps the file below its limit and rebuilds from what is left", async () => {
  const host = new FakeHost();
  const folder = new StateFolder(host, "/state").server("docs");
  await folder.prepare();
  await folder.event("spawned", { record: NEW });
  for (let n = 0; n < 40; n++) {
    await folder.event("verdict", { message: "x".repeat(40_000) });
    assert((await host.files.stat(folder.paths.events))!.sizeBytes <= 1024 * 1024);
  }
  assertEquals(lastRecord(await folder.events(), "docs"), NEW);
});

Deno.test("event() trims nothing while somebody holds the lock, and the next holder does", async () => {
  const host = new FakeHost();
  const folder = new StateFolder(host, "/state").server("docs");
  const wait = { waitMs: 0, signal: new AbortController().signal };
  const lock = await folder.lock(wait);
  const message = "x".repeat(40_000);
  for (let n = 0; n < 40; n++) await folder.event("verdict", { message });
  assertEquals(parseEvents(host.files.text(folder.paths.events) ?? "").length, 40);
  lock?.release();
  (await folder.lock(wait))?.release();
  assert((await host.files.stat(folder.paths.events))!.sizeBytes <= 1024 * 1024);
});
