import { assert, assertEquals, assertRejects } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { verdict } from "../../src/registry/identity.ts";
import { isElsewhere } from "../../src/registry/namespaces.ts";
import { encodeRecord, type ServerRecord } from "../../src/registry/record.ts";
import { type ServerFolder, StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";
import { sampleRecord } from "./sample.ts";

const FOLDER = "/state/servers/docs";
const HOME = "4026531836";
const CONTAINER = "4026532001";

function machine(namespace: string | null): { host: FakeHost; folder: ServerFolder } {
  const host = new FakeHost();
  host.processes.namespace = namespace;
  host.files.putDir(FOLDER);
  return { host, folder: new StateFolder(host, "/state").server("docs") };
}

/** A record of this run of the system, whose pid is another process here. */
function theirs(host: FakeHost, given: Partial<ServerRecord> = {}): ServerRecord {
  const { pid, startTime } = host.processes.get(501);
  const start_token = startTime.replace(/[^:]*$/, "1");
  const launcher = { launcher_pid: pid, launcher_start_token: start_token };
  return sampleRecord({ pid, start_token, ...launcher, pid_namespace: CONTAINER, ...given });
}

Deno.test("write() names the PID namespace, and read() finds the record in it as it was", async () => {
  const { host, folder } = machine(HOME);
  const { pid, startTime } = host.processes.add();
  await folder.write(sampleRecord({ pid, start_token: startTime }));
  const stored = await folder.read();
  assert(stored.kind === "record");
  assertEquals([stored.record.pid_namespace, stored.record.start_token], [HOME, startTime]);
});

Deno.test("read() takes a record without a namespace for this one's", async () => {
  const { host, folder } = machine(HOME);
  host.files.put(`${FOLDER}/record.json`, encodeRecord(sampleRecord()));
  const stored = await folder.read();
  assert(stored.kind === "record");
  assertEquals([isElsewhere(stored.record), stored.record.start_token], [false, "proc:boot:2000"]);
});

Deno.test("read() shows another namespace's record so that none of its processes can be told", async () => {
  const { host, folder } = machine(HOME);
  const record = theirs(host, { supervisor: { pid: 501, start_token: "proc:boot:1" } });
  host.files.put(`${FOLDER}/record.json`, encodeRecord(record));
  const stored = await folder.read();
  assert(stored.kind === "record");
  const { pid, start_token, launcher_start_token, pgid, token, supervisor } = stored.record;
  assertEquals([isElsewhere(stored.record), pid, pgid, token === record.token], [
    true,
    record.pid,
    null,
    false,
  ]);
  for (const startTime of [start_token, launcher_start_token, supervisor?.start_token ?? null]) {
    for (
      const seen of [
        undefined,
        { kind: "gone" } as const,
        { kind: "seen", facts: host.processes.get(501) } as const,
      ]
    ) {
      assertEquals(verdict(seen, startTime).kind, "unknown");
    }
  }
});

Deno.test("read() shows every other record so where the own namespace can't be told", async () => {
  const { host, folder } = machine(HOME);
  host.processes.pidNamespace = () => Promise.reject(new HostError("failed", "no /proc"));
  host.files.put(`${FOLDER}/record.json`, encodeRecord(theirs(host)));
  const stored = await folder.read();
  assertEquals(stored.kind === "record" && isElsewhere(stored.record), true);
});

Deno.test("write() leaves another namespace's record and stands beside it; forget() takes its own away", async () => {
  const { host, folder } = machine(HOME);
  const other = encodeRecord(theirs(host));
  host.files.put(`${FOLDER}/record.json`, other);
  await folder.write(sampleRecord());
  assertEquals(host.files.text(`${FOLDER}/record.json`), other);
  const stored = await folder.read();
  assertEquals(stored.kind === "record" && stored.record.pid_namespace, HOME);
  assertEquals(host.files.paths().includes(`${FOLDER}/record-${HOME}.json`), true);
  // The other one goes first: this one's is found all the same.
  await host.files.remove(`${FOLDER}/record.json`);
  assertEquals((await folder.read()).kind, "record");
  await folder.forget();
  assertEquals(await folder.read(), { kind: "none" });
});

Deno.test("write() never writes what was read out of another namespace", async () => {
  const { host, folder } = machine(HOME);
  host.files.put(`${FOLDER}/record.json`, encodeRecord(theirs(host)));
  const stored = await folder.read();
  assert(stored.kind === "record");
  const { record } = stored;
  await assertRejects(() => folder.write({ ...record, want: "down" }), HostError, "PID namespace");
});

Deno.test("read() takes another namespace's record of an earlier boot for what it is: of the past", async () => {
  const { host, folder } = machine(HOME);
  host.files.put(`${FOLDER}/record.json`, encodeRecord(theirs(host, { start_token: "proc:earlier:1" })));
  const stored = await folder.read();
  assertEquals(stored.kind === "record" && isElsewhere(stored.record), false);
  await folder.write(sampleRecord());
  assertEquals(host.files.paths().filter((path) => /record/.test(path)), [`${FOLDER}/record.json`]);
});

Deno.test("pidFile() believes no file beside another namespace's record", async () => {
  const { host, folder } = machine(HOME);
  host.files.put(folder.paths.pidFile, "501\n");
  assertEquals(await folder.pidFile(0), 501);
  host.files.put(`${FOLDER}/record.json`, encodeRecord(theirs(host)));
  assertEquals(await folder.pidFile(0), 0);
});

Deno.test("readOrHeal() rebuilds nothing out of another namespace's events", async () => {
  const { host, folder } = machine(CONTAINER);
  const { pid, startTime } = host.processes.add();
  await folder.event("spawned", { record: sampleRecord({ pid, start_token: startTime }) });
  host.files.put(`${FOLDER}/record.json`, "{");
  host.processes.namespace = HOME;
  assertEquals(await folder.readOrHeal(), null);
});
