import { assertEquals } from "@std/assert";
import { keepCrashLog, rotateLog, rotateOpenLog, tailOf } from "../../src/registry/log_files.ts";
import { serverPaths } from "../../src/registry/paths.ts";
import { FakeHost } from "../host/fake_host.ts";

const PATHS = serverPaths("/state", "docs");

function texts(host: FakeHost): (string | null)[] {
  return ["", ".1", ".2", ".3", ".4", ".5", ".6"].map((suffix) => host.files.text(PATHS.log + suffix));
}

Deno.test("rotateLog() keeps the logs of the last five starts", async () => {
  const host = new FakeHost();
  for (let n = 1; n <= 7; n++) {
    host.files.put(PATHS.log, `start ${n}`);
    await rotateLog(host, PATHS.log);
  }
  assertEquals(texts(host), [null, "start 7", "start 6", "start 5", "start 4", "start 3", null]);
});

Deno.test("rotateLog() makes no generation of an empty log", async () => {
  const host = new FakeHost();
  host.files.put(PATHS.log, "");
  host.files.put(`${PATHS.log}.1`, "kept");
  await rotateLog(host, PATHS.log);
  assertEquals(texts(host).slice(0, 3), ["", "kept", null]);
});

Deno.test("rotateLog() does nothing without a log", async () => {
  const host = new FakeHost();
  await rotateLog(host, PATHS.log);
  assertEquals(texts(host).every((text) => text === null), true);
});

Deno.test("rotateOpenLog() moves the whole lines away and leaves what is not one yet", async () => {
  const host = new FakeHost();
  host.files.put(PATHS.log, "one\ntwo\nth");
  assertEquals(await rotateOpenLog(host, PATHS.log, 10), true);
  assertEquals(texts(host).slice(0, 2), ["\0".repeat(8) + "th", "one\ntwo\n"]);
  assertEquals(await rotateOpenLog(host, PATHS.log, 10), false);
  await host.files.append(PATHS.log, "ree\nfour\n", 0o600);
  assertEquals(await rotateOpenLog(host, PATHS.log, 10), true);
  assertEquals(texts(host).slice(0, 3), ["\0".repeat(19), "three\nfour\n", "one\ntwo\n"]);
  assertEquals(await tailOf(host, PATHS.log, 15), "two\nthree\nfour\n");
});

Deno.test("keepCrashLog() finds last words that were rotated away a moment ago", async () => {
  const host = new FakeHost();
  host.files.put(`${PATHS.log}.1`, "of an earlier start\n");
  host.files.put(PATHS.log, "the cause\n");
  await rotateOpenLog(host, PATHS.log, 10);
  await host.files.append(PATHS.log, "the end\n", 0o600);
  assertEquals(await keepCrashLog(host, PATHS), "the cause\nthe end\n");
});

Deno.test("rotateLog() moves away what is no file, and never opens it", async () => {
  const host = new FakeHost();
  host.files.putPipe(PATHS.log);
  await rotateLog(host, PATHS.log);
  assertEquals(await host.files.stat(PATHS.log), null);
});

Deno.test("rotateOpenLog() copies and empties a log where no hole can be made", async () => {
  const host = new FakeHost();
  host.files.makesHoles = false;
  host.files.put(PATHS.log, "x".repeat(100));
  assertEquals(await rotateOpenLog(host, PATHS.log, 100), true);
  assertEquals(texts(host).slice(0, 2), ["", "x".repeat(100)]);
});

Deno.test("rotateOpenLog() leaves a log below the limit", async () => {
  const host = new FakeHost();
  host.files.put(PATHS.log, "x".repeat(99));
  assertEquals(await rotateOpenLog(host, PATHS.log, 100), false);
  assertEquals(texts(host).slice(0, 2), ["x".repeat(99), null]);
});

Deno.test("tailOf() reads the end of a long file only", async () => {
  const host = new FakeHost();
  host.files.put(PATHS.log, "x".repeat(1000) + "the end");
  assertEquals(await tailOf(host, PATHS.log, 7), "the end");
});

Deno.test("tailOf() is empty for what is missing or no file", async () => {
  const host = new FakeHost();
  host.files.putDir("/state/servers/docs/folder");
  assertEquals(await tailOf(host, PATHS.log), "");
  assertEquals(await tailOf(host, "/state/servers/docs/folder"), "");
});

Deno.test("keepCrashLog() keeps the end of the log across the next start", async () => {
  const host = new FakeHost();
  host.files.put(PATHS.log, "Traceback: boom\n");
  assertEquals(await keepCrashLog(host, PATHS), "Traceback: boom\n");
  await rotateLog(host, PATHS.log);
  assertEquals(host.files.text(PATHS.crashLog), "Traceback: boom\n");
  assertEquals((await host.files.stat(PATHS.crashLog))?.mode, 0o600);
});

Deno.test("keepCrashLog() reads on in the rotated file where the log was rotated since the start, and only then", async () => {
  for (const [since, expected] of [[1_000, "the start of it\nthe end"], [9_000, "the end"]] as const) {
    const host = new FakeHost();
    const paths = serverPaths("/state", "docs");
    host.files.put(`${paths.log}.1`, "the start of it\n");
    host.files.setModified(`${paths.log}.1`, 5_000);
    host.files.put(paths.log, "the end");
    assertEquals(await keepCrashLog(host, paths, { since }), expected);
    assertEquals(host.files.text(paths.crashLog), expected);
  }
});

Deno.test("keepCrashLog() keeps no more than the last 64 KiB over both files, and no hole", async () => {
  const host = new FakeHost();
  const paths = serverPaths("/state", "docs");
  host.files.put(paths.log, "a".repeat(100_000));
  assertEquals(await rotateOpenLog(host, paths.log, 100_000), true);
  await host.files.append(paths.log, "FATAL: the reason why", 0o600);
  const words = await keepCrashLog(host, paths, { since: 1_000 });
  assertEquals([words.length, words.endsWith("aFATAL: the reason why")], [64 * 1024, true]);
});
