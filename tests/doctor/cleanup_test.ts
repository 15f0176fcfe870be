import { assertEquals, assertRejects } from "@std/assert";
import { ShellHint } from "../../src/base/shell_hint.ts";
import { cleanUp } from "../../src/doctor/cleanup.ts";
import type { Stale } from "../../src/doctor/judgement.ts";
import { observeServers } from "../../src/doctor/observe.ts";
import { judgeProcesses } from "../../src/doctor/processes.ts";
import { writeLease } from "../../src/registry/process_files.ts";
import { writeProcessRecord } from "../../src/registry/process_files.ts";
import { type CopyRecord, encodeRecord } from "../../src/registry/record.ts";
import { StateFolderError } from "../../src/registry/safe_folder.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";
import { sampleRecord } from "../registry/sample.ts";

const STATE = "/state";
const RECORD = `${STATE}/servers/docs/record.json`;
const REGISTERED = `${STATE}/processes/700.json`;
const PRIVATE = `${STATE}/servers/docs/children/900.json`;
const COPY = `${STATE}/servers/docs/copies/0a1b2c.json`;
const LEASE = `${STATE}/servers/docs/leases/800.json`;

/** A machine with one leftover of each kind. */
async function machine(): Promise<FakeHost> {
  const host = new FakeHost();
  host.files.put(RECORD, encodeRecord(sampleRecord()));
  await writeProcessRecord(host, STATE, {
    schema: 1,
    pid: 700,
    start_token: "proc:boot:700",
    executable: "/usr/bin/node",
    cwd: "/",
    started_unix_millis: 5,
    parent_pid_at_start: null,
    process_group_id: null,
    transport: "http",
    bind: null,
    http_path: null,
    register: null,
  });
  const since = "2026-01-01T00:00:00.000Z";
  await writeLease(host, `${STATE}/servers/docs/leases`, { pid: 800, start_token: "proc:boot:800", since });
  const owner = { pid: 901, start_token: "proc:boot:901" };
  host.files.put(PRIVATE, JSON.stringify({ pid: 900, start_token: "proc:boot:900", owner }));
  host.files.put(
    COPY,
    encodeRecord({
      ...sampleRecord({ port: 0, endpoint: "", pid: 902, token: "0123456789abcdef:docs:copy" }),
      copy: "0a1b2c",
      client: null,
      shared: false,
      owner: { pid: 903, start_token: "proc:boot:903" },
      session: null,
    } as CopyRecord),
  );
  return host;
}

async function staleOf(host: FakeHost): Promise<Stale[]> {
  const seen = await observeServers(host, new StateFolder(host, STATE));
  const shell = new ShellHint({ windows: false, stateDir: null, config: null });
  return judgeProcesses(seen, { shell, system: "linux", lookalikes: [] }).stale;
}

async function clean(host: FakeHost, stale: readonly Stale[]): Promise<boolean[]> {
  const state = new StateFolder(host, STATE);
  const removed: boolean[] = [];
  for await (const each of cleanUp(host, { state, stale, signal: new AbortController().signal })) {
    removed.push(each.removed);
    assertEquals(each.message.startsWith(each.removed ? "removed" : "left"), true, each.message);
  }
  return removed;
}

/** The files with what was recorded: logs, events and locks apart. */
function records(host: FakeHost): string[] {
  return host.files.paths().filter((path) => path.endsWith(".json"));
}

Deno.test("cleanUp() removes what dead processes left, and signals nobody", async () => {
  const host = await machine();
  const stale = await staleOf(host);
  assertEquals(stale.map(({ path }) => path), [RECORD, REGISTERED, LEASE, COPY, PRIVATE]);
  assertEquals(await clean(host, stale), [true, true, true, true, true]);
  assertEquals(records(host), []);
  assertEquals(host.processes.signals, []);
  assertEquals(await staleOf(host), []);
});

Deno.test("cleanUp() leaves a server that another foster is at work on", async () => {
  const host = await machine();
  const stale = (await staleOf(host)).filter(({ kind }) => kind === "managed");
  const lock = await host.files.tryLock(`${STATE}/servers/docs/lock`, 0o600);
  const cleaning = clean(host, stale);
  await host.clock.advance(1000);
  assertEquals(await cleaning, [false]);
  assertEquals(records(host).includes(RECORD), true);
  lock?.release();
});

Deno.test("cleanUp() leaves everything that came to life since it was looked at", async () => {
  const host = await machine();
  const stale = await staleOf(host);
  const identities = [[2000, "proc:boot:2000"], [700, "proc:boot:700"], [800, "proc:boot:800"], [
    901,
    "proc:boot:901",
  ]] as const;
  for (const [pid, startTime] of identities) host.processes.add({ pid, startTime });
  assertEquals(await clean(host, stale), [false, false, false, false, false]);
  assertEquals(records(host), [REGISTERED, PRIVATE, COPY, LEASE, RECORD]);
});

Deno.test("cleanUp() leaves the record of a later start", async () => {
  const host = await machine();
  const stale = (await staleOf(host)).filter(({ kind }) => kind === "managed");
  host.files.put(RECORD, encodeRecord(sampleRecord({ token: "folder:docs:later" })));
  assertEquals(await clean(host, stale), [false]);
});

Deno.test("cleanUp() leaves a record as long as anybody carries its cookie", async () => {
  const host = await machine();
  const stale = (await staleOf(host)).filter(({ kind }) => kind === "managed");
  host.processes.add({ env: { FOSTER_TOKEN: "folder:docs:random" } });
  assertEquals(await clean(host, stale), [false]);
});

Deno.test("cleanUp() goes on after what it may not remove", async () => {
  const host = await machine();
  const stale = await staleOf(host);
  host.files.refuse(REGISTERED, "denied");
  assertEquals(await clean(host, stale), [true, false, true, true, true]);
});

Deno.test("cleanUp() leaves a record as long as somebody holds its port", async () => {
  const host = await machine();
  const stale = (await staleOf(host)).filter(({ kind }) => kind === "managed");
  host.processes.unnamed.set(3001, 1);
  assertEquals(await clean(host, stale), [false]);
});

Deno.test("cleanUp() removes nothing from a state folder that others may write to", async () => {
  const host = await machine();
  const stale = await staleOf(host);
  await host.files.chmod(STATE, 0o777);
  await assertRejects(() => clean(host, stale), StateFolderError);
});
