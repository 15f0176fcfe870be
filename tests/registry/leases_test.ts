import { assertEquals } from "@std/assert";
import { decodeLease, readLeases, writeLease } from "../../src/registry/process_files.ts";
import { FakeHost } from "../host/fake_host.ts";

const FOLDER = "/state/servers/docs/leases";
const SINCE = "2026-01-01T00:00:00.000Z";

Deno.test("decodeLease() reads what writeLease() wrote", async () => {
  const host = new FakeHost();
  const lease = { pid: 501, start_token: "proc:boot:1", since: SINCE };
  const path = await writeLease(host, FOLDER, lease);
  assertEquals(path, `${FOLDER}/501.json`);
  assertEquals(decodeLease(host.files.text(path) ?? ""), lease);
});

for (const text of ["", "{}", "null", "[]", '{"pid":1}', '{"pid":"1","start_token":"x","since":"y"}', "{"]) {
  Deno.test(`decodeLease() reads nothing from ${JSON.stringify(text)}`, () =>
    assertEquals(decodeLease(text), null));
}

Deno.test("readLeases() counts nobody when the folder is missing", async () =>
  assertEquals(await readLeases(new FakeHost(), FOLDER), { live: [], dead: [], unknown: 0 }));

Deno.test("readLeases() tells the living from the dead, and the recycled pid is dead", async () => {
  const host = new FakeHost();
  const lease = (pid: number) => ({ pid, start_token: host.processes.get(pid).startTime, since: SINCE });
  for (const pid of [601, 602, 603, 604]) {
    host.processes.add({ pid });
    await writeLease(host, FOLDER, lease(pid));
  }
  host.processes.end(602);
  host.processes.recycle(603);
  host.processes.setZombie(604);
  const { live, dead, unknown } = await readLeases(host, FOLDER);
  assertEquals(live.map(({ pid }) => pid), [601]);
  assertEquals(dead.sort(), ["602.json", "603.json", "604.json"]);
  assertEquals(unknown, 0);
});

Deno.test("readLeases() counts a client that can't be looked at as a client", async () => {
  const host = new FakeHost();
  const { pid, startTime } = host.processes.add();
  await writeLease(host, FOLDER, { pid, start_token: startTime, since: SINCE });
  host.processes.unreadable.set(pid, "hidepid");
  assertEquals(await readLeases(host, FOLDER), { live: [], dead: [], unknown: 1 });
});

Deno.test("readLeases() counts a torn lease as dead and looks at nothing but leases", async () => {
  const host = new FakeHost();
  host.files.put(`${FOLDER}/700.json`, '{"pid":700,"start_');
  host.files.put(`${FOLDER}/notes.txt`, "hello");
  assertEquals(await readLeases(host, FOLDER), { live: [], dead: ["700.json"], unknown: 0 });
});
