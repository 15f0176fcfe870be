import { assertEquals } from "@std/assert";
import { Signaller, type SignalOutcome, type SignalTarget } from "../../src/lifecycle/stop/signal.ts";
import { FakeHost } from "../host/fake_host.ts";

const SELF = 501;
const SHELL = 500;

/** Sends to what `aim` names and tells the outcome with the targets that the system was given. */
async function send(
  host: FakeHost,
  target: SignalTarget,
): Promise<{ outcome: SignalOutcome["kind"]; signalled: number[] }> {
  const { kind } = await new Signaller(host).send(target, "SIGTERM");
  return { outcome: kind, signalled: host.processes.signals.map((each) => each.target) };
}

function tokenOf(host: FakeHost, pid: number): string {
  return host.processes.get(pid).startTime;
}

Deno.test("send() signals a process that is still the same one", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  assertEquals(await send(host, { kind: "process", pid, startTime }), { outcome: "sent", signalled: [pid] });
});

Deno.test("send() does not signal a pid that was given to another process", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  host.processes.recycle(pid);
  assertEquals(await send(host, { kind: "process", pid, startTime }), { outcome: "gone", signalled: [] });
});

Deno.test("send() looks again before every signal, not only before the first", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add({ ignores: ["SIGTERM"] });
  const signaller = new Signaller(host);
  const target = { kind: "process", pid, startTime } as const;
  assertEquals((await signaller.send(target, "SIGTERM")).kind, "sent");
  host.processes.recycle(pid);
  assertEquals((await signaller.send(target, "SIGKILL")).kind, "gone");
  assertEquals(host.processes.signals.map(({ signal }) => signal), ["SIGTERM"]);
});

Deno.test("send() knows a macOS process again whose start was written down to the second", async () => {
  const host = new FakeHost();
  const second = "ps:Fri Nov 20 19:07:01 2026";
  const ignores = ["SIGTERM" as const];
  const { pid } = host.processes.add({ pid: 700, groupId: 700, startTime: `${second}.123456`, ignores });
  const anchors = [{ pid, start_token: second }];
  assertEquals((await send(host, { kind: "process", pid, startTime: second })).outcome, "sent");
  assertEquals((await send(host, { kind: "group", groupId: 700, anchors })).outcome, "sent");
  const startTime = `${second}.123455`;
  assertEquals((await send(host, { kind: "process", pid, startTime })).outcome, "gone");
});

for (const pid of [-1, 0, 1, SHELL, SELF]) {
  Deno.test(`send() never signals pid ${pid}, whatever the proof`, async () => {
    const host = new FakeHost();
    const startTime = pid > 0 ? tokenOf(host, pid) : "";
    assertEquals(await send(host, { kind: "process", pid, startTime }), {
      outcome: "refused",
      signalled: [],
    });
  });
}

Deno.test("send() never signals a far ancestor of foster", async () => {
  const host = new FakeHost();
  const far = host.processes.add({ pid: 300 });
  const near = host.processes.add({ pid: 301, parentPid: 300 });
  host.processes.get(SHELL).parentPid = near.pid;
  const target: SignalTarget = { kind: "process", pid: far.pid, startTime: far.startTime };
  assertEquals(await send(host, target), { outcome: "refused", signalled: [] });
});

Deno.test("send() refuses a process that can't be looked at", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  host.processes.unreadable.set(pid, "hidepid");
  assertEquals(await send(host, { kind: "process", pid, startTime }), { outcome: "refused", signalled: [] });
});

Deno.test("send() sends a zombie nothing", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  host.processes.setZombie(pid);
  assertEquals(await send(host, { kind: "process", pid, startTime }), { outcome: "gone", signalled: [] });
});

Deno.test("send() says when the system does not permit it", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add({ react: () => "denied" });
  assertEquals((await send(host, { kind: "process", pid, startTime })).outcome, "denied");
});

// --------------------------------------------------------------------------------------------------------- groups

function group(host: FakeHost, groupId: number, ...pids: number[]): SignalTarget {
  return {
    kind: "group",
    groupId,
    anchors: pids.map((pid) => ({ pid, start_token: tokenOf(host, pid) })),
  };
}

Deno.test("send() signals a group whose leader is still the same", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add();
  host.processes.add({ groupId: pid });
  assertEquals(await send(host, group(host, pid, pid)), { outcome: "sent", signalled: [-pid] });
});

Deno.test("send() signals a group whose leader is gone through another member", async () => {
  const host = new FakeHost();
  const leader = host.processes.add();
  const worker = host.processes.add({ groupId: leader.pid });
  const target = group(host, leader.pid, leader.pid, worker.pid);
  host.processes.end(leader.pid);
  assertEquals(await send(host, target), { outcome: "sent", signalled: [-leader.pid] });
});

Deno.test("send() signals a group whose leader is a zombie: its number can't be given away", async () => {
  const host = new FakeHost();
  const leader = host.processes.add();
  host.processes.add({ groupId: leader.pid });
  const target = group(host, leader.pid, leader.pid);
  host.processes.setZombie(leader.pid);
  assertEquals(await send(host, target), { outcome: "sent", signalled: [-leader.pid] });
});

Deno.test("send() does not signal a group whose number was given to others", async () => {
  const host = new FakeHost();
  const leader = host.processes.add();
  const target = group(host, leader.pid, leader.pid);
  host.processes.recycle(leader.pid);
  host.processes.add({ groupId: leader.pid });
  assertEquals(await send(host, target), { outcome: "gone", signalled: [] });
});

Deno.test("send() does not signal a group that its member has left", async () => {
  const host = new FakeHost();
  const leader = host.processes.add();
  const member = host.processes.add({ groupId: leader.pid });
  const target = group(host, leader.pid, member.pid);
  member.groupId = member.pid;
  assertEquals(await send(host, target), { outcome: "gone", signalled: [] });
});

Deno.test("send() does not signal a group without any anchor", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add();
  assertEquals(await send(host, group(host, pid)), { outcome: "gone", signalled: [] });
});

Deno.test("send() does not signal a group whose anchor can't be looked at", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add();
  const target = group(host, pid, pid);
  host.processes.unreadable.set(pid, "hidepid");
  assertEquals(await send(host, target), { outcome: "gone", signalled: [] });
});

for (const groupId of [-1, 0, 1, SHELL, SELF]) {
  Deno.test(`send() never signals group ${groupId}, which is nobody's or foster's own`, async () => {
    const host = new FakeHost();
    const { pid } = host.processes.add({ groupId });
    assertEquals(await send(host, group(host, groupId, pid)), { outcome: "refused", signalled: [] });
  });
}

Deno.test("send() never signals the group that foster shares with its shell", async () => {
  const host = new FakeHost();
  host.processes.get(SELF).groupId = SHELL;
  const neighbour = host.processes.add({ groupId: SHELL });
  assertEquals(await send(host, group(host, SHELL, neighbour.pid)), { outcome: "refused", signalled: [] });
});
