import { rowDocument } from "../../src/lifecycle/row.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { STATE_CODES } from "../../src/registry/state_label.ts";
import { PORT, Rig, rightStatus } from "./rig.ts";

Deno.test("up spawns, records launcher, version and ports, and is ready", async () => {
  const rig = new Rig();
  const { kind, row } = await rig.up({ wsPort: 9500 });
  const [pid] = rig.spawned;
  assertEquals(kind, "done");
  assertEquals([row.state, rowDocument(row).state_code, row.startup_path], [
    "ready",
    STATE_CODES.ready,
    "spawned",
  ]);
  assertEquals([row.pid, row.recovered, row.adoption], [pid ?? 0, null, null]);
  const record = await rig.record();
  assertEquals([record?.launcher_pid, record?.pgid, record?.state], [pid, pid, "ready"]);
  assertEquals([record?.version, record?.server_name, record?.ws_port], ["2.4.2", "docs-server", 9500]);
});

Deno.test("up writes its record with the cookie before it spawns", async () => {
  const rig = new Rig();
  let instanceToken = "";
  rig.program(async (child) => {
    const record = await rig.record();
    assertEquals([record?.state, record?.pid, record?.launcher_pid], ["spawning", null, null]);
    instanceToken = child.options.env.FOSTER_TOKEN ?? "";
    assertEquals(record?.token, instanceToken);
    rig.serve(child);
  });
  await rig.up();
  assert(instanceToken.includes(":docs:"));
});

Deno.test("up says no_command before it touches the pid file of an earlier start", async () => {
  const rig = new Rig();
  rig.host.files.put(rig.folder.paths.pidFile, "812\n");
  const { kind, row } = await rig.up({ command: "no-such-program" });
  assertEquals([kind, row.state, row.startup_path], ["no_command", "no_command", "no_command"]);
  assertEquals(rig.host.files.text(rig.folder.paths.pidFile), "812\n");
  assertStringIncludes(row.message, "no-such-program");
});

Deno.test("up starts at the next try after no command was found", async () => {
  const rig = new Rig();
  await rig.up({ command: "no-such-program" });
  assertEquals((await rig.up()).kind, "done");
});

Deno.test("up wipes the pid file and spawns nothing when the port is reserved", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[PORT - 1, PORT + 1]];
  rig.host.files.put(rig.folder.paths.pidFile, "812\n");
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path], ["port_excluded", "port_excluded", "reserved"]);
  assertEquals(rig.host.files.text(rig.folder.paths.pidFile), null);
  assertEquals(rig.spawned, []);
  assertStringIncludes(row.hint, "winnat");
});

Deno.test("up says no_command rather than port_excluded when both hold", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[PORT, PORT]];
  assertEquals((await rig.up({ command: "no-such-program" })).kind, "no_command");
});

Deno.test("up moves a reserved WebSocket port and says so, and never the HTTP port", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[9500, 9599]];
  const { kind, row } = await rig.up({ wsPort: 9500 });
  assertEquals([kind, row.port, row.ws_port], ["done", PORT, 9600]);
  assert(rig.warnings.some((text) => text.includes("9500") && text.includes("9600")));
});

Deno.test("up leaves no pid file of an earlier start to a child that fails", async () => {
  const rig = new Rig();
  rig.host.files.put(rig.folder.paths.pidFile, "812\n");
  rig.program((child) => child.exit(3));
  assertEquals((await rig.up()).kind, "crashed");
  assertEquals(rig.host.files.text(rig.folder.paths.pidFile), null);
});

Deno.test("up is crashed when the child can't be started, and tries again at the next up", async () => {
  const rig = new Rig();
  rig.program(() => {
    throw new HostError("failed", "no more processes");
  });
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path], ["crashed", "crashed", "crashed"]);
  assertStringIncludes(row.message, "no more processes");
  rig.program((child) => rig.serve(child));
  assertEquals((await rig.up()).kind, "done");
});

Deno.test("up acts on a dead child at once, with its exit code and last words", async () => {
  const rig = new Rig();
  rig.program((child) => {
    child.log("one\nModuleNotFoundError: No module named 'docs'\n");
    rig.host.clock.after(200, () => child.exit(3));
  });
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path], ["crashed", "crashed", "crashed"]);
  assertStringIncludes(row.message, "exit code 3");
  assertStringIncludes(row.message, "No module named");
  assertStringIncludes(row.hint, "uv cache clean");
  assert(rig.host.clock.monotonic() < 1000, `${rig.host.clock.monotonic()}`);
  assertEquals((await rig.record())?.last_exit?.code, 3);
});

Deno.test("up never calls a child that a signal ended a success", async () => {
  const rig = new Rig();
  rig.program((child) => {
    rig.host.clock.after(50, () => rig.host.processes.end(child.process.pid, { signal: "SIGKILL" }));
  });
  const { kind, row } = await rig.up();
  assertEquals(kind, "crashed");
  assertStringIncludes(row.message, "signal SIGKILL");
  assertEquals((await rig.record())?.last_exit?.signal, "SIGKILL");
});

Deno.test("up stops a child that never gets ready, and quotes what it saw last", async () => {
  const rig = new Rig();
  rig.program((child) => child.listen(PORT));
  const { kind, row } = await rig.up({ ready: { check: "http", timeout: "2s", probeTimeout: "500ms" } });
  assertEquals(kind, "not_ready");
  assertStringIncludes(row.message, "404");
  assertStringIncludes(row.message, "stopped again");
  assert(!rig.host.processes.isAlive(rig.spawned[0] ?? 0));
});

Deno.test("up says that nothing passes the port on where nobody listened on it, and not where somebody did", async () => {
  const rig = new Rig();
  rig.program(() => {});
  const silent = await rig.up({ args: ["serve"], brandFlags: [] });
  assertEquals([silent.kind, silent.row.hint], [
    "not_ready",
    'nothing in "command", "args" or "env" passes the port on: "${port}" does',
  ]);
  assertStringIncludes((await rig.up()).row.hint, "foster logs");
  rig.program((child) => child.listen(PORT));
  assertStringIncludes((await rig.up({ args: ["serve"], brandFlags: [] })).row.hint, "foster logs");
});

Deno.test("up lets its server be when it can't be told for a moment whose the port is", async () => {
  const rig = new Rig();
  const { processes } = rig.host;
  const original = Object.getPrototypeOf(processes);
  // Each attempt asks twice: whether it is ready, and who it is.
  const isHidden = (pid: number) => pid === rig.spawned[0] && rig.asked === 2;
  processes.inspect = async (pids) => {
    for (const pid of pids) if (isHidden(pid)) processes.unreadable.set(pid, "busy");
    const seen = await original.inspect.call(processes, pids);
    processes.unreadable.clear();
    return seen;
  };
  processes.list = async () => {
    const all = await original.list.call(processes);
    return all.filter(({ pid }: { pid: number }) => !isHidden(pid));
  };
  const { kind, row } = await rig.up();
  assertEquals([kind, row.pid, rig.spawned.length, rig.signalled], ["done", rig.spawned[0], 1, []]);
  assertEquals(rig.asked, 4);
});

Deno.test("up does not take the answer of a foreign process that is gone again for its server's", async () => {
  const rig = new Rig();
  const { processes, net, clock } = rig.host;
  rig.program((child) => void clock.after(1000, () => rig.serve(child)));
  const foreign = processes.add({ argv: ["python3"] });
  rig.statuses.set(foreign.pid, rightStatus());
  clock.after(100, () => void foreign.listens.push({ port: PORT, address: "127.0.0.1" }));
  const answer = net.onFetch;
  assert(answer !== null);
  net.onFetch = async (request) => {
    const response = await answer(request);
    if (rig.asked === 2 && processes.isAlive(foreign.pid)) processes.end(foreign.pid);
    return response;
  };
  const { kind, row } = await rig.up();
  assertEquals([kind, row.pid, rig.spawned.length, rig.signalled], ["done", rig.spawned[0], 1, []]);
  assert(clock.monotonic() >= 1000);
});

Deno.test("up warns once of a variable that is not set, by its name", async () => {
  const rig = new Rig();
  await rig.up({ args: ["--port", "${port}", "${env:UNSET_KEY}"], env: { KEY: "${env:UNSET_KEY}" } });
  assertEquals(rig.warnings, ['"docs": ${env:UNSET_KEY} is not set']);
});

for (
  const { where, port, address, at } of [
    { where: "another port", port: 8000, address: "127.0.0.1", at: "127.0.0.1:8000" },
    { where: "another family", port: PORT, address: "::1", at: `[::1]:${PORT}` },
  ]
) {
  Deno.test(`up says where its server listens that took ${where}`, async () => {
    const rig = new Rig();
    rig.host.net.separateAddresses = true;
    rig.host.net.dialAnswers.set(PORT, "refused");
    rig.program((child) => child.listen(port, address));
    const { kind, row } = await rig.up();
    assertEquals(kind, "not_ready");
    assertStringIncludes(row.message, `it listens on ${at} instead of 127.0.0.1:${PORT}`);
  });
}
