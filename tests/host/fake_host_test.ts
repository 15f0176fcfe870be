import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Signal } from "../../src/host/host.ts";
import { FakeHost } from "./fake_host.ts";

const kill: Signal = "SIGKILL";

Deno.test("advance() lets timers fall due in order, each with all that follows from it", async () => {
  const { clock } = new FakeHost();
  const seen: string[] = [];
  const note = async (name: string, ms: number) => {
    await clock.sleep(ms);
    seen.push(`${name} ${clock.monotonic()}`);
  };
  const chain = note("first", 10).then(() => note("after first", 5));
  const other = note("second", 15.5);
  await clock.advance(14);
  assertEquals(seen, ["first 10"]);
  await clock.advance(2);
  assertEquals(seen, ["first 10", "after first 15", "second 15.5"]);
  assertEquals(clock.monotonic(), 16);
  await Promise.all([chain, other]);
});

Deno.test("every() ticks while time passes, and no more when it is stopped", async () => {
  const { clock } = new FakeHost();
  let ticks = 0;
  const stop = clock.every(100, () => ticks += 1);
  await clock.advance(350);
  assertEquals(ticks, 3);
  stop();
  await clock.advance(1000);
  assertEquals([ticks, clock.waiting], [3, 0]);
});

Deno.test("sleep() and deadline() leave no timer behind when they are aborted", async () => {
  const { clock } = new FakeHost();
  const parent = new AbortController();
  const sleeping = assertRejects(
    () => clock.sleep(1000, clock.deadline(500, parent.signal)),
    Error,
    "enough",
  );
  parent.abort(new Error("enough"));
  await sleeping;
  assertEquals(clock.waiting, 0);
  const deadline = clock.deadline(500);
  await assertRejects(() => clock.run(clock.sleep(1000, deadline)), DOMException, "500 ms");
  assertEquals([clock.monotonic(), clock.waiting], [500, 0]);
});

Deno.test("run() passes as much time as the work needs, real waiting included", async () => {
  const { clock } = new FakeHost();
  const work = async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      await clock.sleep(1000);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return "done";
  };
  assertEquals(await clock.run(work()), "done");
  assertEquals(clock.monotonic(), 5000);
});

Deno.test("run() throws when the work waits for something that never comes", async () => {
  const { clock } = new FakeHost();
  await assertRejects(() => clock.run(new Promise(() => {})), Error, "Still waiting");
  await assertRejects(() => clock.run(clock.sleep(10_000), 5000), Error, "1 timers left");
});

Deno.test("a process that is added is seen, listens, carries its environment and ends when it is signalled", async () => {
  const { processes, net } = new FakeHost();
  const { pid, startTime } = processes.add({
    argv: ["/usr/bin/server", "--port", "3001"],
    env: { FOSTER_TOKEN: "a:b:c" },
    listens: [3001, { port: 3002, address: "::" }],
  });
  assertEquals((await processes.inspect([pid])).get(pid), {
    kind: "seen",
    facts: { pid, startTime, parentPid: 1, groupId: pid, zombie: false },
  });
  assertEquals(await processes.carrying("FOSTER_TOKEN=a:b:c"), [pid]);
  assertEquals(await processes.carrying("FOSTER_TOKEN=a:b"), []);
  assertEquals(await processes.listeners(3002), {
    kind: "known",
    listeners: [{ pid, address: "::" }],
    unnamed: 0,
  });
  assertEquals([await net.dial("127.0.0.1", 3001), await net.canBind("127.0.0.1", 3001)], ["open", false]);
  assertEquals(await processes.signal(pid, "SIGTERM"), "sent");
  assertEquals((await processes.inspect([pid])).get(pid), { kind: "gone" });
  assertEquals([await net.dial("127.0.0.1", 3001), await net.canBind("127.0.0.1", 3001)], ["refused", true]);
  assertEquals(processes.signals, [{ target: pid, signal: "SIGTERM", at: 0 }]);
});

Deno.test("signal() plays what the process was told to do", async () => {
  const { processes, clock } = new FakeHost();
  const stubborn = processes.add({ ignores: ["SIGTERM"] });
  const slow = processes.add({ react: (signal) => signal === kill ? "ends" : { endsAfterMs: 300 } });
  const foreign = processes.add({ react: () => "denied" });
  assertEquals(await processes.signal(stubborn.pid, "SIGTERM"), "sent");
  assertEquals(await processes.signal(slow.pid, "SIGTERM"), "sent");
  assertEquals(await processes.signal(foreign.pid, "SIGTERM"), "denied");
  await clock.advance(299);
  assertEquals(processes.isAlive(slow.pid), true);
  await clock.advance(1);
  assertEquals([processes.isAlive(slow.pid), processes.isAlive(stubborn.pid)], [false, true]);
  await processes.signal(stubborn.pid, kill);
  assertEquals(processes.isAlive(stubborn.pid), false);
});

Deno.test("signal() to a group reaches all of it and leaves its children to init", async () => {
  const { processes } = new FakeHost();
  const leader = processes.add();
  const member = processes.add({ groupId: leader.pid, parentPid: leader.pid });
  const child = processes.add({ parentPid: member.pid });
  assertEquals(await processes.signal(-leader.pid, "SIGTERM"), "sent");
  assertEquals([leader, member, child].map(({ pid }) => processes.isAlive(pid)), [false, false, true]);
  assertEquals(processes.get(child.pid).parentPid, 1);
  assertEquals(await processes.signal(-leader.pid, "SIGTERM"), "gone");
});

Deno.test("recycle() gives the pid to another process, setZombie() keeps it for nobody", async () => {
  const { processes } = new FakeHost();
  const first = processes.add({ listens: [3001] });
  const second = processes.recycle(first.pid, { argv: ["other"] });
  assertEquals(second.pid, first.pid);
  assert(second.startTime !== first.startTime);
  assertEquals(await processes.argv(first.pid), ["other"]);
  processes.setZombie(first.pid);
  const seen = (await processes.inspect([first.pid])).get(first.pid);
  assertEquals(seen?.kind === "seen" && seen.facts.zombie, true);
  assertEquals([processes.isAlive(first.pid), await processes.argv(first.pid)], [false, null]);
});

Deno.test("a program that was made known is started with what it was given, and does as it was told", async () => {
  const { processes, files, clock } = new FakeHost();
  processes.program("/usr/bin/server", (child) => {
    child.log(`starting ${child.options.args.join(" ")}\n`);
    clock.after(200, () => child.listen(3001));
    clock.after(900, () => child.exit(3));
  });
  const child = await processes.spawnDetached({
    command: "/usr/bin/server",
    args: ["--quick"],
    cwd: "/home/user",
    env: { NAME: "value" },
    logFile: "/tmp/log",
  });
  assertEquals(files.text("/tmp/log"), "starting --quick\n");
  assertEquals(processes.get(child.pid).groupId, child.pid);
  await clock.advance(200);
  assertEquals(processes.listening(3001), [{ pid: child.pid, address: "127.0.0.1" }]);
  assertEquals(await clock.run(child.exited), { code: 3, signal: null });
  assertEquals([clock.monotonic(), processes.spawned.length], [900, 1]);
});

Deno.test("a piped program talks through its pipes", async () => {
  const { processes } = new FakeHost();
  processes.program("/usr/bin/echo", (child) => {
    child.stdin.pipeTo(child.stdout).then(() => child.exit(0));
  });
  const child = await processes.spawnPiped({
    command: "/usr/bin/echo",
    args: [],
    cwd: "/",
    env: {},
    detached: false,
    stderr: { kind: "inherit" },
  });
  const writer = child.stdin.getWriter();
  const reading = new Response(child.stdout).text();
  await writer.write(new TextEncoder().encode("hello"));
  await writer.close();
  assertEquals([await reading, await child.exited], ["hello", { code: 0, signal: null }]);
});

Deno.test("refuse() makes calls on a path fail until it is taken back", async () => {
  const { files } = new FakeHost();
  files.put("/data/record.json", "{}");
  files.refuse("/data/record.json", "no_space");
  const error = await files.writeAtomic("/data/record.json", "new", 0o600).catch((thrown: unknown) => thrown);
  assertEquals(error instanceof Error && "code" in error && error.code, "no_space");
  files.refuse("/data/record.json", null);
  await files.writeAtomic("/data/record.json", "new", 0o600);
  assertEquals([files.text("/data/record.json"), files.paths()], ["new", ["/data/record.json"]]);
});

Deno.test("fetch() asks the test, and refuses where it was told nothing", async () => {
  const { net } = new FakeHost();
  await assertRejects(() => net.fetch("http://127.0.0.1:3001/status"), TypeError, "refused");
  net.onFetch = (request) => Response.json({ path: new URL(request.url).pathname });
  assertEquals(await (await net.fetch("http://127.0.0.1:3001/status")).json(), { path: "/status" });
});

Deno.test("the terminal keeps what is written and gives what is typed", async () => {
  const { terminal, program } = new FakeHost();
  terminal.out("answer\n");
  terminal.err("talk\n");
  await terminal.type("line\n");
  await terminal.endInput();
  assertEquals(await new Response(terminal.stdin).text(), "line\n");
  let heard = "";
  const stop = terminal.onInterrupt(["SIGINT"], (signal) => heard += signal);
  assertEquals([terminal.interrupt("SIGINT"), terminal.interrupt("SIGTERM")], [true, false]);
  stop();
  assertEquals([terminal.interrupt("SIGINT"), heard], [false, "SIGINT"]);
  assertEquals([terminal.outText, terminal.errText], ["answer\n", "talk\n"]);
  assertThrows(() => program.exit(3), Error, "exit 3");
});

Deno.test("random gives the same in every run", () => {
  const [first, second] = [new FakeHost().random, new FakeHost().random];
  assertEquals([first.hex(8), first.unit(), first.hex(2)], [second.hex(8), second.unit(), second.hex(2)]);
});

Deno.test("the fake network binds addresses beside one another where it is asked to", async () => {
  const { net, processes } = new FakeHost();
  net.separateAddresses = true;
  const bindable = async (port: number) => {
    const hosts = ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"];
    return await Promise.all(hosts.map((host) => net.canBind(host, port)));
  };
  const held = [
    { address: "127.0.0.1", port: 1, free: [false, true, false, false, false] },
    { address: "::1", port: 2, free: [true, false, false, true, false] },
    { address: "0.0.0.0", port: 3, free: [false, true, false, false, false] },
    { address: "::", port: 4, free: [false, false, false, false, false] },
    { address: "::", port: 5, free: [true, false, false, true, false] },
  ];
  net.v6only.add(5);
  for (const { address, port, free } of held) {
    processes.add({ listens: [{ address, port }] });
    assertEquals(await bindable(port), free, `${address} port ${port}`);
  }
});
