import { assertEquals } from "@std/assert";
import { follow, lastLinesOf } from "../../src/lifecycle/follow.ts";
import { FakeHost } from "../host/fake_host.ts";

const LOG = "/state/servers/docs/server.log";

for (
  const [text, count, lines] of [
    ["one\ntwo\nthree\n", 2, ["two", "three"]],
    ["one\ntwo\nthree", 2, ["two", "three"]],
    ["one\n", 5, ["one"]],
    ["", 5, []],
    ["one\ntwo\n", 0, []],
  ] as [string, number, string[]][]
) {
  Deno.test(`lastLinesOf() finds the last ${count} of ${JSON.stringify(text)}`, async () => {
    const host = new FakeHost();
    host.files.put(LOG, text);
    assertEquals(await lastLinesOf(host, LOG, count), { lines, offset: text.length });
  });
}

Deno.test("lastLinesOf() finds lines far back in a long log", async () => {
  const host = new FakeHost();
  const lines = Array.from({ length: 5000 }, (_, n) => `${n} ${"x".repeat(50)}`);
  host.files.put(LOG, lines.join("\n") + "\n");
  assertEquals((await lastLinesOf(host, LOG, 3000)).lines, lines.slice(-3000));
});

Deno.test("lastLinesOf() finds nothing when there is no log", async () =>
  assertEquals(await lastLinesOf(new FakeHost(), LOG, 10), { lines: [], offset: 0 }));

/** Follows from the beginning while `write` happens, 200 ms between its steps. */
async function followed(steps: ((host: FakeHost) => void | Promise<void>)[]): Promise<string[]> {
  const host = new FakeHost();
  host.files.put(LOG, "");
  const stop = new AbortController();
  const lines: string[] = [];
  const following = (async () => {
    for await (const line of follow(host, { path: LOG, offset: 0, signal: stop.signal })) lines.push(line);
  })();
  for (const step of steps) {
    await step(host);
    await host.clock.advance(250);
  }
  stop.abort();
  await host.clock.run(following);
  return lines;
}

Deno.test("follow() shows lines as they come, and a line only when it is whole", async () =>
  assertEquals(
    await followed([
      (host) => host.files.append(LOG, "one\ntw", 0o600),
      (host) => host.files.append(LOG, "o\nthree\n", 0o600),
    ]),
    ["one", "two", "three"],
  ));

Deno.test("follow() goes on when the log was emptied", async () =>
  assertEquals(
    await followed([
      (host) => host.files.append(LOG, "one\ntwo\n", 0o600),
      (host) => host.files.truncate(LOG, 0),
      (host) => host.files.append(LOG, "new\n", 0o600),
    ]),
    ["one", "two", "new"],
  ));

Deno.test("follow() goes on with the log of the next start", async () =>
  assertEquals(
    await followed([
      (host) => host.files.append(LOG, "one\ntwo\n", 0o600),
      (host) => host.files.rename(LOG, `${LOG}.1`),
      (host) => host.files.put(LOG, "new\n"),
    ]),
    ["one", "two", "new"],
  ));

Deno.test("follow() keeps a letter whole that comes in two pieces", async () => {
  const host = new FakeHost();
  let content = new Uint8Array([0xc3]);
  host.files.readSlice = (_path, offset, limitBytes) => {
    const slice = content.slice(offset, offset + limitBytes);
    if (offset === 1) content = new Uint8Array([0xc3, 0xa9, 0x0a]);
    return Promise.resolve(slice);
  };
  host.files.stat = () =>
    Promise.resolve({ kind: "file", sizeBytes: content.length, modifiedAt: 0, mode: 0o600, uid: null });
  const first = follow(host, { path: LOG, offset: 0, signal: new AbortController().signal }).next();
  await host.clock.advance(500);
  assertEquals((await first).value, "é");
});

Deno.test("follow() sees a new file that has outgrown the old one already, and the last words of the old one", async () =>
  assertEquals(
    await followed([
      (host) => host.files.append(LOG, "first life\n", 0o600),
      async (host) => {
        await host.files.append(LOG, "its last words\n", 0o600);
        await host.files.rename(LOG, `${LOG}.1`);
        host.files.put(LOG, "second life\nwith more to say than the first one\n");
      },
    ]),
    ["first life", "its last words", "second life", "with more to say than the first one"],
  ));

Deno.test("follow() reads on from the copy when a log was emptied under its writer", async () =>
  assertEquals(
    await followed([
      (host) => host.files.append(LOG, "one\n", 0o600),
      async (host) => {
        await host.files.append(LOG, "two\n", 0o600);
        await host.files.copy(LOG, `${LOG}.1`);
        await host.files.truncate(LOG, 0);
        await host.files.append(LOG, "three, and longer than all before\n", 0o600);
      },
    ]),
    ["one", "two", "three, and longer than all before"],
  ));
