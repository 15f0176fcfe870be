import { assertEquals } from "@std/assert";
import { isStarting, StartWatch, type Work } from "../../src/gateway/start_watch.ts";

const WORK: Work = { command: "/usr/bin/node", pids: [7], cpuMs: 300 };
const CASES: [string, Partial<Work>, Partial<Work>, boolean][] = [
  ["waits", {}, { cpuMs: 310 }, false],
  ["computes", {}, { cpuMs: 320 }, true],
  ["began a child", {}, { pids: [7, 8] }, true],
  ["lost a child", { pids: [7, 8] }, {}, true],
  ["is gone", {}, { pids: [] }, false],
  ["is npx without a child", { command: "/opt/node/bin/npx" }, { command: "/opt/node/bin/npx" }, true],
  [
    "is npx with a child that waits",
    { command: "npx", pids: [7, 8] },
    { command: "npx", pids: [7, 8] },
    false,
  ],
];
for (const [what, before, now, expected] of CASES) {
  Deno.test(`isStarting() is ${expected} of a process that ${what}`, () =>
    assertEquals(isStarting({ ...WORK, ...before }, { ...WORK, ...now }), expected));
}

Deno.test("StartWatch takes a process for one that starts until two looks some time apart say otherwise", async () => {
  let looks = 0;
  const watch = new StartWatch(() => {
    looks++;
    return Promise.resolve(WORK);
  });
  await Promise.all([watch.look(0), watch.look(0)]);
  await watch.look(1000);
  assertEquals([looks, watch.isStarting], [1, true]);
  await watch.look(2500);
  assertEquals([looks, watch.isStarting], [2, false]);
});
