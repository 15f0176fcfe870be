import { assertEquals, assertRejects } from "@std/assert";
import { runForEach } from "../../src/cli/each_server.ts";
import { UsageError } from "../../src/cli/args.ts";
import { exitCodeOf } from "../../src/cli/rows.ts";
import { plainOutcome } from "../../src/lifecycle/row.ts";
import type { Context } from "../../src/cli/verb.ts";
import { HostError } from "../../src/host/host.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";

const state = new StateFolder(new FakeHost(), "/state");
const context = { state, signal: new AbortController().signal } as unknown as Context;

function done(name: string) {
  return {
    name,
    run: () => Promise.resolve(plainOutcome({ name }, state.server(name), { kind: "done", message: "" })),
  };
}

function fails(name: string, error: Error) {
  return { name, run: () => Promise.reject(error) };
}

Deno.test("runForEach() tries all although one fails, and gives each its row in the order given", async () => {
  const outcomes = await runForEach(context, [
    done("a"),
    fails("b", new HostError("denied", "its folder belongs to root")),
    fails("c", new UsageError("no such server", "did you mean a?")),
    done("d"),
  ]);
  assertEquals(outcomes.map(({ kind, row }) => [row.name, kind]), [
    ["a", "done"],
    ["b", "failed"],
    ["c", "usage"],
    ["d", "done"],
  ]);
  assertEquals(outcomes[1]?.row.message, '"b": its folder belongs to root');
  assertEquals(outcomes[2]?.row.hint, "did you mean a?");
  assertEquals(exitCodeOf(outcomes), 1);
});

Deno.test("runForEach() leaves the usage error of an only name to the whole command", async () => {
  await assertRejects(() => runForEach(context, [fails("a", new UsageError("no such server"))]), UsageError);
});

Deno.test("runForEach() lets the others finish before it reports a bug", async () => {
  const finished: string[] = [];
  const slow = {
    name: "b",
    run: async () => {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      finished.push("b");
      return await done("b").run();
    },
  };
  await assertRejects(() => runForEach(context, [fails("a", new TypeError("oops")), slow]), TypeError);
  assertEquals(finished, ["b"]);
});

Deno.test("runForEach() runs thousands, and never more than a bounded number at a time", async () => {
  let running = 0;
  let most = 0;
  const actions = Array.from({ length: 5000 }, (_, index) => ({
    name: `s${index}`,
    run: async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return await done(`s${index}`).run();
    },
  }));
  const outcomes = await runForEach(context, actions);
  assertEquals([outcomes.length, outcomes[4999]?.row.name, most], [5000, "s4999", 64]);
});
