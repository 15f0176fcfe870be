/**
 * A supervisor on a machine where something can't be read in a bad moment: its server is neither lost nor harmed.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Rig } from "../lifecycle/rig.ts";
import { Played } from "./played.ts";

const TROUBLE = "too many open files";

Deno.test("run() that is interrupted in its own start ends what it spawned, although the undo failed", async () => {
  const rig = new Rig();
  rig.program((child) => void rig.host.clock.after(4000, () => rig.serve(child)));
  const played = Played.start({}, { rig });
  await played.untilSeen(() => rig.spawned.length === 1);
  const { processes } = rig.host;
  processes.list = () => {
    // The class's own method is back.
    Reflect.deleteProperty(processes, "list");
    return Promise.reject(new Error(TROUBLE));
  };
  assertEquals(await played.stop(), { kind: "stopped" });
  const [pid = 0] = rig.spawned;
  assertEquals(Object.hasOwn(processes, "list"), false);
  assertEquals([processes.isAlive(pid), rig.signalled, await rig.record()], [false, [-pid], null]);
});

Deno.test("run() keeps the server that it restarted when something can't be read right after", async () => {
  const played = Played.start();
  const { rig } = played;
  await played.until("ready");
  const { files } = rig.host;
  files.readOwn = async (path, slice) => {
    const events = path === rig.folder.paths.overrides ? await rig.folder.events() : [];
    if (events.filter(({ event }) => event === "supervising").length < 2) {
      return await Object.getPrototypeOf(files).readOwn.call(files, path, slice);
    }
    Reflect.deleteProperty(files, "readOwn");
    throw new Error(TROUBLE);
  };
  played.crash();
  await played.until("adopted");
  assertEquals(Object.hasOwn(files, "readOwn"), false);
  const [, second = 0] = rig.spawned;
  assertEquals([rig.spawned.length, rig.signalled, rig.host.processes.isAlive(second)], [2, [], true]);
  assertEquals(await played.stop(), { kind: "stopped" });
});

/** The next probe fails as well, and then the server is given up. */
async function oneMissLeft() {
  const played = Played.start({ restart: { max: 0 } });
  const { rig } = played;
  await played.until("ready");
  const [pid = 0] = rig.spawned;
  rig.statuses.delete(pid);
  await played.until("probe_failed", 2);
  return { played, rig, pid };
}

Deno.test("run() keeps the pid of a server that it gives up and can't see", async () => {
  const { played, rig, pid } = await oneMissLeft();
  const { processes } = rig.host;
  const isGivingUp = () => played.of("probe_failed").length === 3;
  processes.inspect = async (pids) => {
    if (isGivingUp()) processes.unreadable.set(pid, TROUBLE);
    return await Object.getPrototypeOf(processes).inspect.call(processes, pids);
  };
  processes.list = async () => {
    const all = await Object.getPrototypeOf(processes).list.call(processes);
    return all.filter((facts: { pid: number }) => !isGivingUp() || facts.pid !== pid);
  };
  assertEquals((await played.ended()).kind, "failed");
  for (const method of ["inspect", "list"]) Reflect.deleteProperty(processes, method);
  processes.unreadable.delete(pid);
  assert(processes.isAlive(pid));
  const record = await rig.record();
  assertEquals([record?.state, record?.pid, rig.signalled], ["crashed", pid, []]);
  assertEquals((await rig.down()).kind, "done");
  assertEquals([processes.isAlive(pid), await rig.record()], [false, null]);
});

Deno.test("run() ends its server although the record is lost in the moment of the interrupt", async () => {
  const played = Played.start();
  const { rig } = played;
  await played.until("ready");
  const [pid = 0] = rig.spawned;
  await rig.host.files.remove(rig.folder.paths.record);
  assertEquals(await played.stop(), { kind: "stopped" });
  assertEquals([rig.host.processes.isAlive(pid), rig.signalled, await rig.record()], [false, [-pid], null]);
});

Deno.test("run() gives a server up, and ends it, although its record is lost in that moment", async () => {
  const { played, rig, pid } = await oneMissLeft();
  const { files } = rig.host;
  files.tryLock = async (path, mode) => {
    Reflect.deleteProperty(files, "tryLock");
    await files.remove(rig.folder.paths.record);
    return await files.tryLock(path, mode);
  };
  assertEquals((await played.ended()).kind, "failed");
  const record = await rig.record();
  assertEquals([rig.host.processes.isAlive(pid), record?.state, record?.pid], [false, "crashed", null]);
});
