/**
 * Many servers under one supervisor, on a machine in memory.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { projectKey } from "../../src/definitions/hash.ts";
import type { SupervisedServer } from "../../src/supervisor/enrolment.ts";
import { type EnrolRequest, type ServerNews, Supervisor } from "../../src/supervisor/supervisor.ts";
import { recordIn } from "../../src/registry/store.ts";
import { PROGRAM, Rig, WRITTEN } from "../lifecycle/rig.ts";

const FILE = "/base/foster.json";
const PORTS: Record<string, number> = { one: 3101, two: 3102, three: 3103 };

class Kept {
  readonly rig = new Rig();
  readonly news: { name: string; news: ServerNews }[] = [];
  readonly errors: unknown[] = [];
  changes = 0;
  readonly supervisor: Supervisor;

  constructor(restart: Record<string, unknown> = {}) {
    const servers = Object.fromEntries(
      Object.entries(PORTS).map(([name, port]) => [name, { ...WRITTEN, port, restart }]),
    );
    this.rig.host.files.put(FILE, JSON.stringify({ servers }));
    this.supervisor = new Supervisor(this.rig.world, {
      onNews: ({ name }, news) => void this.news.push({ name, news }),
      onError: (_server, error) => void this.errors.push(error),
      onChange: () => void this.changes++,
    });
  }

  server(name: string, given: Partial<SupervisedServer> = {}): SupervisedServer {
    return {
      key: projectKey(name, FILE),
      name,
      config: FILE,
      folder: "/base",
      by: "up",
      idle_ms: null,
      timeout_ms: null,
      owner: null,
      ...given,
    };
  }

  enrol(name: string, given: Partial<SupervisedServer> = {}, request: Partial<EnrolRequest> = {}) {
    return this.supervisor.enrol({
      server: this.server(name, given),
      adoptOnly: false,
      environment: null,
      ...request,
    });
  }

  async up(name: string) {
    return await this.rig.host.clock.run(this.enrol(name).outcome);
  }

  async record(name: string) {
    return recordIn(await this.rig.world.state.server(this.server(name).key).read());
  }

  /** The processes that were spawned for a server, in order. */
  spawned(name: string): number[] {
    return this.rig.host.processes.spawned
      .filter(({ options: { args } }) => args.includes(String(PORTS[name])))
      .map(({ pid }) => pid);
  }

  async until(check: () => boolean | Promise<boolean>): Promise<void> {
    for (let turn = 0; turn < 2000; turn++) {
      if (await check()) return;
      await this.rig.host.clock.advance(50);
    }
    throw new Error(`never: ${JSON.stringify(this.news)}`);
  }
}

Deno.test("enrol() keeps several servers, each restarted by itself", async () => {
  const kept = new Kept();
  for (const name of ["one", "two", "three"]) assertEquals((await kept.up(name)).kind, "done");
  assertEquals(kept.supervisor.size, 3);
  const [second = 0] = kept.spawned("two");
  kept.rig.host.processes.end(second, { code: 1, signal: null });
  await kept.until(() => kept.spawned("two").length === 2);
  assertEquals([kept.spawned("one").length, kept.spawned("three").length], [1, 1]);
  const supervisors = await Promise.all(
    ["one", "two", "three"].map(async (name) => (await kept.record(name))?.supervisor?.pid),
  );
  assertEquals(new Set(supervisors), new Set([kept.rig.host.processes.selfPid]));
  await kept.rig.host.clock.run(kept.supervisor.close(() => true));
  assertEquals([kept.supervisor.size, await kept.record("one")], [0, null]);
});

Deno.test("enrol() of a server whose loop throws fails that one alone, and says where", async () => {
  const kept = new Kept();
  await kept.up("one");
  const { files } = kept.rig.host;
  const folder = kept.rig.world.state.server(kept.server("two").key).paths.folder;
  files.tryLock = async (path, mode) => {
    if (path.startsWith(folder)) throw new Error("the lock is unwell");
    return await Object.getPrototypeOf(files).tryLock.call(files, path, mode);
  };
  const outcome = await kept.up("two");
  assertEquals([outcome.kind, outcome.row.message], ["no", "the lock is unwell"]);
  assertMatch(String(kept.errors[0]), /the lock is unwell/);
  assertEquals([kept.supervisor.has(kept.server("one").key), kept.supervisor.size], [true, 1]);
  Reflect.deleteProperty(files, "tryLock");
  assertEquals((await kept.up("two")).kind, "done");
});

Deno.test("enrol() of a name that its file does not define says so, and keeps nothing", async () => {
  const kept = new Kept();
  const outcome = await kept.up("four");
  assertMatch(outcome.row.message, /"four" has no definition any more/);
  await kept.until(() => kept.supervisor.size === 0);
});

Deno.test("release() leaves the server running, stop() ends it", async () => {
  const kept = new Kept();
  await kept.up("one");
  await kept.up("two");
  await kept.rig.host.clock.run(kept.supervisor.release(kept.server("one").key));
  await kept.rig.host.clock.run(kept.supervisor.stop(kept.server("two").key));
  const [first = 0] = kept.spawned("one");
  const [second = 0] = kept.spawned("two");
  assertEquals([kept.rig.host.processes.isAlive(first), kept.rig.host.processes.isAlive(second)], [
    true,
    false,
  ]);
  assertEquals([(await kept.record("one"))?.want, await kept.record("two")], ["up", null]);
  assertEquals(await kept.supervisor.release(kept.server("one").key), false);
});

Deno.test("enrol() with adoptOnly takes what runs over without a handshake, and starts nothing that is gone", async () => {
  const kept = new Kept();
  await kept.up("one");
  await kept.rig.host.clock.run(kept.supervisor.release(kept.server("one").key));
  const { asked } = kept.rig;
  const taken = await kept.rig.host.clock.run(kept.enrol("one", {}, { adoptOnly: true }).outcome);
  assertEquals([taken.kind, taken.row.pid, kept.rig.asked], ["done", kept.spawned("one")[0], asked]);
  const absent = await kept.rig.host.clock.run(kept.enrol("two", {}, { adoptOnly: true }).outcome);
  assertEquals([absent.kind, kept.spawned("two")], ["no", []]);
});

Deno.test("enrol() of a server of one run refuses another run, naming the first one's process", async () => {
  const kept = new Kept();
  const owner = (pid: number) => ({ pid, start_token: kept.rig.host.processes.get(pid).startTime });
  const self = owner(kept.rig.host.processes.selfPid);
  await kept.rig.host.clock.run(kept.enrol("one", { by: "run", owner: self }).outcome);
  const said: ServerNews[] = [];
  const second = kept.enrol("one", { by: "run", owner: self });
  second.follow((news) => said.push(news));
  const { kind, row } = await second.outcome;
  assertEquals([kind, said.map(({ type }) => type)], ["guarded", ["refused"]]);
  assertMatch(row.message, new RegExp(`"one" is supervised already, by pid ${self.pid}`));
  const resumed = kept.enrol("one", { by: "run", owner: self }, { resumes: true });
  assertEquals((await kept.rig.host.clock.run(resumed.outcome)).kind, "done");
});

Deno.test("enrol() of a server whose loop is about to end takes it up again", async () => {
  const kept = new Kept();
  await kept.up("one");
  const [first = 0] = kept.spawned("one");
  // Another foster takes it away and brings it up again before the loop has noticed.
  const folder = kept.rig.world.state.server(kept.server("one").key);
  const record = await kept.record("one");
  assert(record !== null);
  await folder.write({ ...record, want: "down" });
  const again = kept.enrol("one", {}, { adoptOnly: true });
  await kept.until(() => kept.news.some(({ news }) => news.type === "stopped"));
  await kept.rig.host.clock.run(again.end);
  await kept.until(() => kept.supervisor.size === 0);
  assertEquals(kept.rig.host.processes.isAlive(first), true);
});

Deno.test("a start has the environment that was handed over last", async () => {
  const kept = new Kept();
  const environment = (said: string) => ({ PATH: "/usr/bin", SAID: said });
  await kept.rig.host.clock.run(kept.enrol("one", {}, { environment: environment("first") }).outcome);
  const given = () => kept.rig.host.processes.spawned.map(({ options: { env } }) => env.SAID);
  const [pid = 0] = kept.spawned("one");
  kept.supervisor.setEnvironment(kept.server("one").key, environment("second"));
  kept.rig.host.processes.end(pid);
  await kept.until(() => kept.spawned("one").length === 2);
  // A client's own is not the server's while that is somebody else's.
  kept.enrol("one", { by: "connect" }, { environment: environment("a client's"), adoptOnly: true });
  kept.rig.host.processes.end(kept.spawned("one")[1] ?? 0);
  await kept.until(() => kept.spawned("one").length === 3);
  assertEquals(given(), ["first", "second", "second"]);
});

Deno.test("a flood of crashes of one server leaves the checks of the others alone", async () => {
  const kept = new Kept({ max: 5, backoff: "10ms", backoffMax: "10ms" });
  await kept.up("one");
  await kept.up("two");
  kept.rig.host.processes.program(PROGRAM, (child) => {
    if (child.options.args.includes(String(PORTS.two))) child.exit(3);
    else kept.rig.serve(child);
  });
  kept.rig.host.processes.end(kept.spawned("two")[0] ?? 0);
  await kept.until(() => kept.news.some(({ name, news }) => name === "two" && news.type === "exhausted"));
  await kept.until(() => kept.supervisor.size === 1);
  const { asked } = kept.rig;
  await kept.rig.host.clock.advance(10_000);
  assert(kept.rig.asked > asked);
  const said = kept.news.filter(({ name, news }) => name === "one" && news.type !== "progress");
  assertEquals([kept.spawned("one").length, said.map(({ news }) => news.type)], [1, ["ready"]]);
});

Deno.test("unused memory is given back once, a second after the last of several starts", async () => {
  const kept = new Kept();
  const { host } = kept.rig;
  await kept.up("one");
  await kept.up("two");
  await host.clock.advance(900);
  assertEquals(host.releases, 0);
  await host.clock.advance(200);
  assertEquals(host.releases, 1);
  await host.clock.advance(10_000);
  assertEquals(host.releases, 1);
  await host.clock.run(kept.supervisor.close(() => true));
});
