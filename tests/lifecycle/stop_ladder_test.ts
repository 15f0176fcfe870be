import { assert, assertEquals } from "@std/assert";
import { Signaller } from "../../src/lifecycle/stop/signal.ts";
import { climbLadder, ladder, type StopResult, type StopTargets } from "../../src/lifecycle/stop/ladder.ts";
import { FakeHost, type FakeProcess } from "../host/fake_host.ts";

const GRACE_MS = 500;

function climb(host: FakeHost, targets: Partial<StopTargets>): Promise<StopResult> {
  return host.clock.run(climbLadder(host, {
    targets: { groups: [], processes: [], ...targets },
    signaller: new Signaller(host),
    graceMs: GRACE_MS,
  }));
}

function at({ pid, startTime }: FakeProcess): { pid: number; start_token: string } {
  return { pid, start_token: startTime };
}

function groupOf(leader: FakeProcess, ...members: FakeProcess[]): StopTargets["groups"][number] {
  return { groupId: leader.pid, members: [leader, ...members].map(at) };
}

function signalsOf(host: FakeHost): [number, string][] {
  return host.processes.signals.map(({ target, signal }) => [target, signal]);
}

Deno.test("ladder() asks first and forces after the grace", () =>
  assertEquals(ladder(700).map(({ signal, waitMs }) => [signal, waitMs]), [["SIGTERM", 700], [
    "SIGKILL",
    2000,
  ]]));

Deno.test("climbLadder() ends a willing group with one signal", async () => {
  const host = new FakeHost();
  const leader = host.processes.add();
  const worker = host.processes.add({ groupId: leader.pid });
  const result = await climb(host, { groups: [groupOf(leader, worker)] });
  assertEquals(result, { ended: [leader.pid, worker.pid], survivors: [] });
  assertEquals(signalsOf(host), [[-leader.pid, "SIGTERM"]]);
  assert(host.clock.monotonic() < 100);
});

Deno.test("climbLadder() does nothing and waits for nothing without a target", async () => {
  const host = new FakeHost();
  assertEquals(await climb(host, {}), { ended: [], survivors: [] });
  assertEquals(host.clock.monotonic(), 0);
});

Deno.test("climbLadder() gives a slow process its grace and no force", async () => {
  const host = new FakeHost();
  const slow = host.processes.add({ react: () => ({ endsAfterMs: 400 }) });
  const result = await climb(host, { processes: [at(slow)] });
  assertEquals(result.survivors, []);
  assertEquals(signalsOf(host), [[slow.pid, "SIGTERM"]]);
  assert(host.clock.monotonic() >= 400 && host.clock.monotonic() < 460);
});

for (const isWatchable of [true, false]) {
  const how = isWatchable ? "by asking the system about it alone" : "by whole looks where it can't ask";
  Deno.test(`climbLadder() sees the end of a process ${how}`, async () => {
    const host = new FakeHost();
    const slow = host.processes.add({ react: () => ({ endsAfterMs: 303 }) });
    const inspect = host.processes.inspect.bind(host.processes);
    let looks = 0;
    host.processes.inspect = (pids) => {
      looks += 1;
      return inspect(pids);
    };
    if (!isWatchable) host.processes.watchExit = () => Promise.resolve(null);
    const result = await climb(host, { processes: [at(slow)] });
    assertEquals(result, { ended: [slow.pid], survivors: [] });
    assert(host.clock.monotonic() < (isWatchable ? 310 : 330), `after ${host.clock.monotonic()} ms`);
    assert(isWatchable ? looks < 12 : looks > 12, `${looks} looks`);
  });
}

Deno.test("climbLadder() looks for new members of a group also while all that it knows live on", async () => {
  const host = new FakeHost();
  const leader = host.processes.add({ react: () => ({ endsAfterMs: 400 }) });
  let born: FakeProcess | null = null;
  host.clock.sleep(50).then(() => born = host.processes.add({ groupId: leader.pid }), () => {});
  const result = await climb(host, { groups: [groupOf(leader)] });
  assert(born !== null);
  assertEquals(result.survivors, []);
  assertEquals(result.ended, [leader.pid, at(born).pid]);
});

Deno.test("climbLadder() forces a process that ignores SIGTERM, only after the grace", async () => {
  const host = new FakeHost();
  const stubborn = host.processes.add({ ignores: ["SIGTERM"] });
  const result = await climb(host, { processes: [at(stubborn)] });
  assertEquals(result, { ended: [stubborn.pid], survivors: [] });
  assertEquals(signalsOf(host), [[stubborn.pid, "SIGTERM"], [stubborn.pid, "SIGKILL"]]);
  assert((host.processes.signals[1]?.at ?? 0) >= GRACE_MS);
});

Deno.test("climbLadder() ends what is born into the group while it is being ended", async () => {
  const host = new FakeHost();
  const leader = host.processes.add({ ignores: ["SIGTERM"] });
  const born: FakeProcess[] = [];
  for (const ms of [100, 200, 490]) {
    host.clock.after(ms, () => {
      born.push(host.processes.add({ parentPid: leader.pid, groupId: leader.pid, ignores: ["SIGTERM"] }));
    });
  }
  const result = await climb(host, { groups: [groupOf(leader)] });
  assertEquals(result.survivors, []);
  assertEquals(result.ended, [leader, ...born].map(({ pid }) => pid));
  for (const { pid } of [leader, ...born]) assert(!host.processes.isAlive(pid));
});

Deno.test("climbLadder() ends a child that its parent leaves behind in the group when it goes", async () => {
  const host = new FakeHost();
  const leader: FakeProcess = host.processes.add({
    react: () => {
      if (!leader.zombie) host.processes.add({ pid: 7000, groupId: leader.pid, ignores: ["SIGTERM"] });
      host.processes.setZombie(leader.pid);
      return "ignores";
    },
  });
  const result = await climb(host, { groups: [groupOf(leader)] });
  assertEquals(result.survivors, []);
  assert(!host.processes.isAlive(7000));
});

Deno.test("climbLadder() leaves a process alone that was given a target's pid meanwhile", async () => {
  const host = new FakeHost();
  const target = host.processes.add({ ignores: ["SIGTERM"] });
  host.clock.after(100, () => void host.processes.recycle(target.pid, { ignores: ["SIGTERM"] }));
  const result = await climb(host, { processes: [at(target)] });
  assertEquals(result, { ended: [target.pid], survivors: [] });
  assertEquals(signalsOf(host), [[target.pid, "SIGTERM"]]);
  assert(host.processes.isAlive(target.pid));
});

Deno.test("climbLadder() leaves others alone that were given the group's number meanwhile", async () => {
  const host = new FakeHost();
  const leader = host.processes.add();
  const target = groupOf(leader);
  host.processes.recycle(leader.pid);
  const other = host.processes.add({ groupId: leader.pid });
  await climb(host, { groups: [target] });
  assertEquals(signalsOf(host), []);
  assert(host.processes.isAlive(leader.pid) && host.processes.isAlive(other.pid));
});

Deno.test("climbLadder() takes a zombie for gone, but not for ended by foster", async () => {
  const host = new FakeHost();
  const target = host.processes.add();
  host.processes.setZombie(target.pid);
  assertEquals(await climb(host, { processes: [at(target)] }), { ended: [], survivors: [] });
  assertEquals(signalsOf(host), []);
});

Deno.test("climbLadder() names a process that survives even SIGKILL", async () => {
  const host = new FakeHost();
  const stuck = host.processes.add({ react: () => "ignores" });
  const easy = host.processes.add();
  const result = await climb(host, { processes: [at(stuck), at(easy)] });
  assertEquals(result, { ended: [easy.pid], survivors: [{ pid: stuck.pid, why: "it did not end" }] });
  assert(host.clock.monotonic() < GRACE_MS + 2200);
});

Deno.test("climbLadder() says that the system does not permit to end a process", async () => {
  const host = new FakeHost();
  const foreign = host.processes.add({ react: () => "denied" });
  const result = await climb(host, { processes: [at(foreign)] });
  assertEquals(result.survivors, [{ pid: foreign.pid, why: "the system does not permit to signal it" }]);
});

Deno.test("climbLadder() reports a process that can't be looked at and signals it never", async () => {
  const host = new FakeHost();
  const hidden = host.processes.add();
  host.processes.unreadable.set(hidden.pid, "hidepid");
  const result = await climb(host, { processes: [at(hidden)] });
  assertEquals(result.ended, []);
  assertEquals(result.survivors.map(({ pid }) => pid), [hidden.pid]);
  assertEquals(signalsOf(host), []);
});

Deno.test("climbLadder() refuses foster itself, its shell and init, and ends the rest", async () => {
  const host = new FakeHost();
  const easy = host.processes.add();
  const processes = [1, 500, 501].map((pid) => at(host.processes.get(pid)));
  const result = await climb(host, { processes: [...processes, at(easy)] });
  assertEquals(result.ended, [easy.pid]);
  assertEquals(result.survivors.map(({ pid }) => pid), [1, 500, 501]);
  assertEquals(signalsOf(host), [[easy.pid, "SIGTERM"]]);
});

Deno.test("climbLadder() signals the members one by one when the group itself is refused", async () => {
  const host = new FakeHost();
  host.processes.get(501).groupId = 500;
  const ours = host.processes.add({ groupId: 500 });
  const shell = host.processes.get(500);
  const result = await climb(host, { groups: [{ groupId: 500, members: [at(ours)] }] });
  assertEquals(result.ended.includes(ours.pid), true);
  assert(host.processes.isAlive(shell.pid) && host.processes.isAlive(501));
  assert(signalsOf(host).every(([target]) => target === ours.pid));
});
