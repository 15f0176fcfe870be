import { rowDocument } from "../../src/lifecycle/row.ts";
import { assertEquals } from "@std/assert";
import { listedState, listServers } from "../../src/lifecycle/observe/list.ts";
import type { Verdict } from "../../src/registry/identity.ts";
import type { ServerRecord } from "../../src/registry/record.ts";
import type { StateLabel } from "../../src/registry/state_label.ts";
import { FakeHost } from "../host/fake_host.ts";
import { sampleRecord } from "../registry/sample.ts";

const STATES: [Verdict["kind"], Partial<ServerRecord>, StateLabel][] = [
  ["ours", { state: "ready" }, "ready"],
  ["ours", { state: "spawning" }, "spawning"],
  ["ours", { state: "stopping", want: "down" }, "stopping"],
  ["unknown", { state: "ready" }, "ready"],
  ["gone", { state: "ready" }, "crashed"],
  ["gone", { state: "spawning" }, "crashed"],
  ["recycled", { state: "ready" }, "crashed"],
  ["gone", { state: "stopping", want: "down" }, "stopped"],
];
for (const [process, record, state] of STATES) {
  Deno.test(`listedState() shows ${state} when the process is ${process} and the record says ${record.state}`, () =>
    assertEquals(listedState(sampleRecord(record), process), state));
}

async function listed(host: FakeHost, ...records: ServerRecord[]) {
  return await listServers(
    host,
    records.map((record) => ({ key: record.key, stored: { kind: "record" as const, record } })),
  );
}

Deno.test("listServers() asks for no process when there is no record", async () => {
  const host = new FakeHost();
  host.processes.inspect = () => Promise.reject(new Error("it was asked"));
  assertEquals(await listServers(host, []), []);
});

Deno.test("listServers() looks at all records in one go", async () => {
  const host = new FakeHost();
  let asked = 0;
  const inspect = host.processes.inspect.bind(host.processes);
  host.processes.inspect = (pids) => {
    asked++;
    return inspect(pids);
  };
  await listed(
    host,
    sampleRecord(),
    sampleRecord({ key: "b", pid: 1 }),
    sampleRecord({ key: "c", pid: 500 }),
  );
  assertEquals(asked, 1);
});

Deno.test("listServers() shows a server under a recycled pid as crashed", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add();
  const [row] = await listed(host, sampleRecord({ pid, launcher_pid: pid }));
  assertEquals([row?.state, row && rowDocument(row).state_code, row?.process], ["crashed", 5, "recycled"]);
});

Deno.test("listServers() lets a living launcher speak for a listener that is gone", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  const record = sampleRecord({ pid: 4000, launcher_pid: pid, launcher_start_token: startTime });
  assertEquals((await listed(host, record))[0]?.process, "ours");
});

Deno.test("listServers() lets a recycled launcher speak for nobody", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add();
  assertEquals((await listed(host, sampleRecord({ pid: 4000, launcher_pid: pid })))[0]?.process, "gone");
});

Deno.test("listServers() reports a record that can't be trusted beside the others", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  const record = sampleRecord({ pid, start_token: startTime });
  const rows = await listServers(host, [
    { key: "torn", stored: { kind: "corrupt", why: "it is not JSON" } },
    { key: "docs", stored: { kind: "record", record } },
  ]);
  assertEquals(rows.map((row) => [row.key, row.process, row.state]), [
    ["torn", "unknown", "uninitialized"],
    ["docs", "ours", "ready"],
  ]);
  assertEquals(rows[0]?.message, "its record can't be trusted: it is not JSON");
  const others = { kind: "corrupt", why: "Cannot read it", unreadable: true } as const;
  const [unreadable] = await listServers(host, [{ key: "others", stored: others }]);
  assertEquals([unreadable?.message, unreadable?.hint], [
    "its record can't be read: Cannot read it",
    "run foster as the user whom its folder belongs to",
  ]);
});

Deno.test("listServers() calls nobody gone whose port is held by who can't be told", async () => {
  const host = new FakeHost();
  const listedProcess = async () =>
    (await listed(host, sampleRecord())).map(({ process, state }) => [process, state]);
  assertEquals(await listedProcess(), [["gone", "crashed"]]);
  host.processes.unnamed.set(3001, 1);
  assertEquals(await listedProcess(), [["unknown", "ready"]]);
  host.processes.unnamed.clear();
  const foreign = host.processes.add({ listens: [3001] });
  assertEquals(await listedProcess(), [["gone", "crashed"]]);
  foreign.env = { FOSTER_TOKEN: "folder:docs:random" };
  assertEquals(await listedProcess(), [["unknown", "ready"]]);
});
