import { assertEquals, assertRejects } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { rotateOpenLog } from "../../src/registry/log_files.ts";
import { follow, lastLinesOf } from "../../src/registry/log_reader.ts";
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
    assertEquals(await lastLinesOf(host, LOG, { count }), { lines, offset: text.length });
  });
}

Deno.test("lastLinesOf() finds lines far back in a long log", async () => {
  const host = new FakeHost();
  const lines = Array.from({ length: 5000 }, (_, n) => `${n} ${"x".repeat(50)}`);
  host.files.put(LOG, lines.join("\n") + "\n");
  assertEquals((await lastLinesOf(host, LOG, { count: 3000 })).lines, lines.slice(-3000));
});

Deno.test("lastLinesOf() finds nothing when there is no log", async () =>
  assertEquals(await lastLinesOf(new FakeHost(), LOG, { count: 10 }), { lines: [], offset: 0 }));

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

Deno.test("follow() looks at one file alone while nothing is written", async () => {
  const host = new FakeHost();
  host.files.put(LOG, "one\n");
  const stop = new AbortController();
  const looked: string[] = [];
  const files = new Proxy(host.files, {
    get(all, key) {
      const method = Reflect.get(all, key);
      if (typeof method !== "function") return method;
      return (path: string, ...args: unknown[]) => {
        looked.push(`${String(key)} ${path}`);
        return Reflect.apply(method, all, [path, ...args]);
      };
    },
  });
  const lines: string[] = [];
  const following = (async () => {
    const options = { path: LOG, offset: 0, signal: stop.signal };
    for await (const line of follow({ files, clock: host.clock }, options)) lines.push(line);
  })();
  await host.clock.advance(1000);
  looked.length = 0;
  await host.clock.advance(1000);
  assertEquals([new Set(looked), lines], [new Set([`stat ${LOG}`]), ["one"]]);
  stop.abort();
  await host.clock.run(following);
});

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
  host.files.readOwn = (_path, { offset, limitBytes }) => {
    const bytes = content.slice(offset, offset + limitBytes);
    return Promise.resolve({ kind: "read", bytes, sizeBytes: content.length, modifiedAt: 0, uid: null });
  };
  host.files.stat = () =>
    Promise.resolve({ kind: "file", sizeBytes: content.length, modifiedAt: 0, mode: 0o600, uid: null });
  const first = follow(host, { path: LOG, offset: 0, signal: new AbortController().signal }).next();
  await host.clock.advance(50);
  content = new Uint8Array([0xc3, 0xa9, 0x0a]);
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

Deno.test("lastLinesOf() skips the hole that rotation made, and reads on in what was moved away", async () => {
  const host = new FakeHost();
  host.files.put(`${LOG}.1`, "of an earlier start\n");
  host.files.put(LOG, "one\ntwo\n");
  await rotateOpenLog(host, LOG, 1);
  await host.files.append(LOG, "three\nfour\n", 0o600);
  const { lines, offset } = await lastLinesOf(host, LOG, { count: 3 });
  assertEquals([lines, offset], [["two", "three", "four"], 19]);
  assertEquals((await lastLinesOf(host, LOG, { count: 10 })).lines, ["one", "two", "three", "four"]);
});

for (
  const [at, punches] of [["copied", false], ["copied in part", false], ["moved", true]] as const
) {
  Deno.test(`a rotation that was cut off once the head was ${at} hides no line and doubles none`, async () => {
    const host = new FakeHost();
    host.files.put(LOG, "zero\n");
    await rotateOpenLog(host, LOG, 1);
    await host.files.append(LOG, "one\ntwo\nthree\n", 0o600);
    if (punches) {
      await host.files.moveHead(LOG, { offset: 5, limitBytes: 8 }, { to: `${LOG}.0`, mode: 0o600 });
    } else host.files.put(`${LOG}.0`, at === "copied" ? "one\ntwo\n" : "one\nt");
    const lines = ["zero", "one", "two", "three"];
    assertEquals((await lastLinesOf(host, LOG, { count: 10 })).lines, lines);
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const line of follow(host, { path: LOG, offset: 0, signal: stop.signal })) {
      seen.push(line);
      if (seen.length === lines.length) stop.abort();
    }
    assertEquals(seen, lines);
    await rotateOpenLog(host, LOG, 1);
    assertEquals(await host.files.stat(`${LOG}.0`), null);
    assertEquals((await lastLinesOf(host, LOG, { count: 10 })).lines, lines);
  });
}

/** Five lines, each in a file of its own: the newest in the log. */
async function rotatedFourTimes(): Promise<FakeHost> {
  const host = new FakeHost();
  host.files.put(LOG, "");
  for (const line of ["one", "two", "three", "four"]) {
    await host.clock.advance(1000);
    await host.files.append(LOG, `${line}\n`, 0o600);
    await rotateOpenLog(host, LOG, 1);
  }
  await host.files.append(LOG, "five\n", 0o600);
  return host;
}

const FIVE_LINES = ["one", "two", "three", "four", "five"];

for (const gap of [1, 2, 3, 4]) {
  Deno.test(`log readers miss nothing while a rotation has moved all from .${gap} on by one number`, async () => {
    const host = await rotatedFourTimes();
    for (let n = 4; n >= gap; n--) await host.files.rename(`${LOG}.${n}`, `${LOG}.${n + 1}`);
    assertEquals((await lastLinesOf(host, LOG, { count: 10 })).lines, FIVE_LINES);
    assertEquals(await followedFrom(host, 0), FIVE_LINES);
  });
}

for (const file of [1, 2, 3, 4]) {
  Deno.test(`follow() misses nothing when older files are renamed just before .${file} is read`, async () => {
    const host = await rotatedFourTimes();
    const { files } = host;
    const readOwn = files.readOwn.bind(files);
    let isShifted = false;
    files.readOwn = async (path, slice) => {
      if (path === `${LOG}.${file}` && !isShifted) {
        isShifted = true;
        for (const n of [4, 3, 2]) await files.rename(`${LOG}.${n}`, `${LOG}.${n + 1}`);
      }
      return await readOwn(path, slice);
    };
    assertEquals(await followedFrom(host, 0), FIVE_LINES);
  });
}

/** As many lines as there are. */
async function followedFrom(host: FakeHost, offset: number): Promise<string[]> {
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const line of follow(host, { path: LOG, offset, signal: stop.signal })) {
    seen.push(line);
    if (line === FIVE_LINES.at(-1)) stop.abort();
  }
  return seen;
}

Deno.test("lastLinesOf() ends when it is interrupted", async () => {
  const host = new FakeHost();
  host.files.put(LOG, "x".repeat(4_000_000));
  const stop = new AbortController();
  const reading = lastLinesOf(host, LOG, { count: 50, signal: stop.signal });
  stop.abort(new Error("interrupted"));
  await assertRejects(() => reading, Error, "interrupted");
});

Deno.test("follow() shows every line once through rotations, also those that it was slow to read", async () =>
  assertEquals(
    await followed([
      (host) => host.files.append(LOG, "one\n", 0o600),
      async (host) => {
        await host.files.append(LOG, "two\nthr", 0o600);
        await rotateOpenLog(host, LOG, 1);
        await host.files.append(LOG, "ee\nfour\n", 0o600);
        await rotateOpenLog(host, LOG, 1);
      },
      (host) => host.files.append(LOG, "five\n", 0o600),
    ]),
    ["one", "two", "three", "four", "five"],
  ));

/** A file that is copied and cut must have been read before the next rotation. */
const LAG_BATCHES = Deno.build.os === "linux" ? 40 : 10;

Deno.test("follow() misses none of 200 000 lines of a real file that is rotated ten times", async () => {
  const host = await createDenoHost();
  const folder = await Deno.makeTempDir();
  const path = `${folder}/server.log`;
  const stop = new AbortController();
  const lines: string[] = [];
  const following = (async () => {
    for await (const line of follow(host, { path, offset: 0, signal: stop.signal })) {
      lines.push(line);
      if (line === "END") stop.abort();
    }
  })();
  try {
    using log = await Deno.open(path, { append: true, create: true });
    let rotations = 0;
    for (let batch = 0; batch < 200; batch++) {
      const text = Array.from(
        { length: 1000 },
        (_, n) => `L${String(batch * 1000 + n).padStart(7, "0")} ${"x".repeat(40)}\n`,
      );
      await log.write(new TextEncoder().encode(text.join("")));
      // A line that is not whole yet when rotation comes.
      if (batch % 20 === 19 && await rotateOpenLog(host, path, 500_000)) rotations++;
      while (lines.length < (batch - LAG_BATCHES) * 1000) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    await log.write(new TextEncoder().encode("END\n"));
    await following;
    assertEquals([rotations, lines.length, new Set(lines).size], [10, 200_001, 200_001]);
  } finally {
    stop.abort();
    await following;
    await Deno.remove(folder, { recursive: true });
  }
});
