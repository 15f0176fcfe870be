import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  Discovery,
  discoveryKey,
  type DiscoveryQuestion,
  ListWalk,
  promisingChanges,
  sameList,
} from "../../src/gateway/discovery.ts";

const QUESTION: DiscoveryQuestion = {
  specHash: "a",
  environment: { API_KEY: "hunter2" },
  folder: "/p",
  revision: "older",
  asked: "2025-11-25",
  capabilities: { roots: {} },
};

Deno.test("discoveryKey() changes with everything that an answer may depend on, and holds no value", () => {
  const key = discoveryKey(QUESTION, "secret");
  assertEquals(key, discoveryKey({ ...QUESTION, capabilities: { roots: {} } }, "secret"));
  const changes: Partial<DiscoveryQuestion>[] = [
    { specHash: "b" },
    { environment: { API_KEY: "other" } },
    { folder: "/q" },
    { revision: "newer" },
    { asked: "2025-06-18" },
    { capabilities: {} },
  ];
  for (const change of changes) {
    assertNotEquals(discoveryKey({ ...QUESTION, ...change }, "secret"), key, JSON.stringify(change));
  }
  assertNotEquals(discoveryKey(QUESTION, "another secret"), key);
  assert(!key.includes("hunter2"));
});

Deno.test("Discovery keeps answers and whole lists over encode() and decode()", () => {
  const discovery = new Discovery();
  assertEquals(discovery.noteAnswer("k", { capabilities: { tools: {} } }, 1), true);
  assertEquals(discovery.noteAnswer("k", { capabilities: { tools: {} } }, 2), false, "it says nothing new");
  discovery.noteList("k", { method: "tools/list", items: [{ name: "t" }], at: 3 });
  const read = Discovery.decode(discovery.encode() ?? "").find("k");
  assertEquals(read, {
    key: "k",
    at: 3,
    answer: { capabilities: { tools: {} } },
    lists: { "tools/list": [{ name: "t" }] },
  });
  assertEquals(discovery.noteAnswer("k", { capabilities: {} }, 4), true);
  assertEquals(discovery.find("k")?.lists, { "tools/list": [{ name: "t" }] });
});

Deno.test("Discovery keeps no empty list, and none of a server that it does not know", () => {
  const discovery = new Discovery();
  discovery.noteList("k", { method: "tools/list", items: [1], at: 1 });
  assertEquals(discovery.find("k"), null);
  discovery.noteAnswer("k", {}, 1);
  discovery.noteList("k", { method: "tools/list", items: [1], at: 2 });
  discovery.noteList("k", { method: "tools/list", items: [], at: 3 });
  assertEquals(discovery.find("k")?.lists, {});
});

Deno.test("Discovery keeps the sixteen newest entries", () => {
  const discovery = new Discovery();
  for (let at = 1; at <= 20; at++) discovery.noteAnswer(`k${at}`, {}, at);
  assertEquals([discovery.find("k4"), discovery.find("k5")?.at, discovery.find("k20")?.at], [null, 5, 20]);
});

for (
  const text of [
    "",
    "{",
    "[]",
    "null",
    '{"schema":2,"entries":[]}',
    '{"schema":1,"entries":[{"key":1},null]}',
  ]
) {
  Deno.test(`Discovery.decode() takes nothing from ${JSON.stringify(text)}`, () => {
    assertEquals(JSON.parse(Discovery.decode(text).encode() ?? "").entries, []);
  });
}

Deno.test("Discovery.encode() gives nothing that could not be read again", () => {
  const discovery = new Discovery();
  discovery.noteAnswer("k", { instructions: "é".repeat(9 * 1024 * 1024) }, 1);
  assertEquals(discovery.encode(), null);
});

Deno.test("ListWalk goes through pages to the end; an empty text is a cursor", () => {
  const walk = new ListWalk("tools/list");
  assertEquals(walk.add({ tools: [1], nextCursor: "" }), { kind: "more", cursor: "" });
  assertEquals(walk.add({ tools: [2], nextCursor: "b" }), { kind: "more", cursor: "b" });
  assertEquals(walk.add({ tools: [3] }), { kind: "whole", items: [1, 2, 3] });
});

Deno.test("ListWalk stops at a repeated cursor and at what is no list", () => {
  const walk = new ListWalk("prompts/list");
  assertEquals(walk.add({ prompts: [], nextCursor: "a" }), { kind: "more", cursor: "a" });
  assertEquals(walk.add({ prompts: [], nextCursor: "a" }), { kind: "broken" });
  assertEquals(new ListWalk("prompts/list").add({ tools: [] }), { kind: "broken" });
  assertEquals(new ListWalk("prompts/list").add({ prompts: [], nextCursor: 5 }), { kind: "broken" });
});

Deno.test("sameList() does not look at the order, of items or of keys", () => {
  assertEquals(sameList([{ a: 1, b: 2 }, 3], [3, { b: 2, a: 1 }]), true);
  assertEquals(sameList([1, 1, 2], [1, 2, 2]), false);
  assertEquals(sameList([1], [1, 1]), false);
});

Deno.test("promisingChanges() adds nothing that the server lacks", () => {
  assertEquals(promisingChanges({ capabilities: { tools: {}, logging: {} }, x: 1 }), {
    capabilities: { tools: { listChanged: true }, logging: {} },
    x: 1,
  });
  assertEquals(promisingChanges({ x: 1 }), { x: 1 });
});
