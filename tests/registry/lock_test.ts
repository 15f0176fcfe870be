import { assert, assertEquals, assertRejects } from "@std/assert";
import { acquireLock } from "../../src/registry/lock.ts";
import { FakeHost } from "../host/fake_host.ts";

const PATH = "/state/servers/docs/lock";

function machine(): FakeHost {
  const host = new FakeHost();
  host.files.putDir("/state/servers/docs");
  return host;
}

const never = new AbortController().signal;

Deno.test("acquireLock() takes a free lock at once, also without any wait", async () => {
  const host = machine();
  const lock = await acquireLock(host, PATH, { waitMs: 0, signal: never });
  assert(lock !== null);
  assertEquals(host.clock.monotonic(), 0);
  lock.release();
});

Deno.test("acquireLock() tries only once when it may not wait", async () => {
  const host = machine();
  const held = await acquireLock(host, PATH, { waitMs: 0, signal: never });
  assertEquals(await acquireLock(host, PATH, { waitMs: 0, signal: never }), null);
  assertEquals(host.clock.waiting, 0);
  held?.release();
});

Deno.test("acquireLock() waits until the holder lets go", async () => {
  const host = machine();
  const held = await acquireLock(host, PATH, { waitMs: 0, signal: never });
  host.clock.after(700, () => held?.release());
  const lock = await host.clock.run(acquireLock(host, PATH, { waitMs: 10_000, signal: never }));
  assert(lock !== null);
  assert(host.clock.monotonic() >= 700 && host.clock.monotonic() < 760, `${host.clock.monotonic()}`);
  lock.release();
});

Deno.test("acquireLock() gives up when the wait is over, not later", async () => {
  const host = machine();
  const held = await acquireLock(host, PATH, { waitMs: 0, signal: never });
  assertEquals(await host.clock.run(acquireLock(host, PATH, { waitMs: 1000, signal: never })), null);
  assertEquals(host.clock.monotonic(), 1000);
  held?.release();
});

Deno.test("acquireLock() lets every one of many waiters have it, one at a time", async () => {
  const host = machine();
  let holders = 0;
  let most = 0;
  const all = Promise.all(Array.from({ length: 8 }, async () => {
    const lock = await acquireLock(host, PATH, { waitMs: 60_000, signal: never });
    assert(lock !== null);
    most = Math.max(most, ++holders);
    await host.clock.sleep(50);
    holders--;
    lock.release();
  }));
  await host.clock.run(all);
  assertEquals(most, 1);
});

Deno.test("acquireLock() ends with the signal's reason when the user interrupts the wait", async () => {
  const host = machine();
  const held = await acquireLock(host, PATH, { waitMs: 0, signal: never });
  const interrupt = new AbortController();
  host.clock.after(100, () => interrupt.abort(new Error("interrupted")));
  const waiting = acquireLock(host, PATH, { waitMs: 10_000, signal: interrupt.signal });
  await assertRejects(() => host.clock.run(waiting), Error, "interrupted");
  held?.release();
});

Deno.test("acquireLock() leaves the file there when the lock is released", async () => {
  const host = machine();
  (await acquireLock(host, PATH, { waitMs: 0, signal: never }))?.release();
  assert(await host.files.stat(PATH) !== null);
});
