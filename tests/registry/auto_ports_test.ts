import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { autoPort, parsePorts, portRange } from "../../src/registry/auto_ports.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";

const signal = new AbortController().signal;

function chooser(host: FakeHost): (folder: string) => Promise<number> {
  const state = new StateFolder(host, "/state");
  return (folder) => autoPort(host, { state, folder, hostname: "127.0.0.1", signal });
}

for (const text of ["", "{", "null", "[]", "17", '{"docs":"20001"}', '{"docs":80}', '{"docs":70000}']) {
  Deno.test(`parsePorts() reads no port from ${JSON.stringify(text)}`, () =>
    assertEquals(parsePorts(text), {}));
}

Deno.test("parsePorts() keeps the good entries of a file with bad ones", () =>
  assertEquals(parsePorts('{"docs":20001,"bad":-1,"demo:ws":20002}'), { docs: 20001, "demo:ws": 20002 }));

Deno.test("autoPort() chooses once and says the same for ever", async () => {
  const host = new FakeHost();
  const choose = chooser(host);
  const port = await choose("docs");
  assert(port >= 20000 && port <= 31999);
  assertEquals(await choose("docs"), port);
  assertEquals(await chooser(host)("docs"), port);
});

for (
  const [text, first, last] of [
    [undefined, 20000, 31999],
    ["40000-40010", 40000, 40010],
    [" 5000-5000 ", 5000, 5000],
    ["5001-5000", 20000, 31999],
    ["80-5000", 20000, 31999],
    ["1000-5000", 20000, 31999],
    ["50000-70000", 20000, 31999],
    ["5000", 20000, 31999],
  ] as const
) {
  Deno.test(`portRange() is ${first} to ${last} for ${text}`, () =>
    assertEquals(portRange(text), { first, last }));
}

Deno.test("autoPort() chooses within FOSTER_AUTO_PORTS, and stays with what was chosen before", async () => {
  const host = new FakeHost({ env: { FOSTER_AUTO_PORTS: "5000-5001" } });
  const choose = chooser(host);
  const ports = [await choose("docs"), await choose("demo")];
  assertEquals(ports.toSorted(), [5000, 5001]);
  await assertRejects(() => choose("third"), HostError, "no free port found between 5000 and 5001");
  const later = new FakeHost();
  later.files.put("/state/ports.json", host.files.text("/state/ports.json") ?? "");
  assertEquals(await chooser(later)("docs"), ports[0]);
});

Deno.test("autoPort() finds the last free port of its range", async () => {
  const taken = Object.fromEntries(Array.from({ length: 499 }, (_, index) => [`s${index}`, 5000 + index]));
  for (let round = 0; round < 5; round++) {
    const host = new FakeHost({ env: { FOSTER_AUTO_PORTS: "5000-5499" } });
    host.files.put("/state/ports.json", JSON.stringify(taken));
    assertEquals(await chooser(host)("docs"), 5499);
  }
});

Deno.test("autoPort() stays with its port when a foreign process holds it later", async () => {
  const host = new FakeHost();
  const port = await chooser(host)("docs");
  host.processes.add({ listens: [port] });
  assertEquals(await chooser(host)("docs"), port);
});

Deno.test("autoPort() gives the same port to many who ask at once, and others to others", async () => {
  const host = new FakeHost();
  const choose = chooser(host);
  const asked = Promise.all(["docs", "docs", "docs", "demo", "demo:ws"].map(choose));
  const [first, second, third, demo, demoWs] = await host.clock.run(asked);
  assertEquals([second, third], [first, first]);
  assertNotEquals(demo, first);
  assertNotEquals(demo, demoWs);
});

Deno.test("autoPort() keeps the other servers' ports when it adds one", async () => {
  const host = new FakeHost();
  host.files.put("/state/ports.json", '{"other":21000}');
  const port = await chooser(host)("docs");
  assertEquals(parsePorts(host.files.text("/state/ports.json") ?? ""), { other: 21000, docs: port });
});

Deno.test("autoPort() passes over ports that can't be bound", async () => {
  const host = new FakeHost();
  const wanted = await chooser(host)("docs");
  const later = new FakeHost();
  later.processes.add({ listens: [wanted] });
  assertNotEquals(await chooser(later)("docs"), wanted);
});

Deno.test("autoPort() says so when no port is free", async () => {
  const host = new FakeHost();
  host.net.reserved = [[1024, 65535]];
  await assertRejects(() => chooser(host)("docs"), HostError, "no free port");
});
