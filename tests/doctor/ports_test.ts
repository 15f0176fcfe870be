import { assertEquals, assertMatch } from "@std/assert";
import { ShellHint } from "../../src/base/shell_hint.ts";
import type { Finding } from "../../src/doctor/findings.ts";
import { claimsOf, observePorts } from "../../src/doctor/observe_ports.ts";
import { judgePorts, type PortClaim } from "../../src/doctor/ports.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";

const shell = new ShellHint({ windows: false, stateDir: null, config: null });

function claim(given: Partial<PortClaim> = {}): PortClaim {
  return {
    port: 3001,
    key: "docs",
    name: "docs",
    hostname: "127.0.0.1",
    use: "http",
    from: "definition",
    auto: false,
    ...given,
  };
}

async function examine(
  host: FakeHost,
  claims: readonly PortClaim[],
  owners: ReadonlyMap<number, string> = new Map(),
): Promise<Finding[]> {
  return judgePorts(await observePorts(host, { claims, serverOf: () => owners }), shell);
}

function codes(findings: readonly Finding[]): string[] {
  return findings.map(({ level, code }) => `${level} ${code}`);
}

Deno.test("judgePorts() finds no fault with a free port, nor with one that its own server holds", async () => {
  const host = new FakeHost();
  assertEquals(await examine(host, [claim()]), []);
  const own = host.processes.add({ listens: [3001] });
  assertEquals(await examine(host, [claim()], new Map([[own.pid, "docs"]])), []);
});

Deno.test("judgePorts() names a foreign holder by pid, program and start, and a port that is free", async () => {
  const host = new FakeHost();
  const holder = host.processes.add({ executable: "/usr/bin/python3", listens: [3001] });
  host.processes.add({ listens: [3002] });
  const [finding, more] = await examine(host, [claim(), claim({ port: 3003, key: "other", name: "other" })]);
  assertEquals(more, undefined);
  assertEquals([finding?.level, finding?.code], ["warn", "foreign_holder"]);
  assertEquals(
    finding?.message,
    `port 3001 of "docs" is held by pid ${holder.pid} python3 (${holder.startTime}), which foster did not start`,
  );
  assertEquals(finding?.fix, "foster up docs --port 3004");
});

for (
  const [expected, given] of [
    ["warn auto_port_taken", { auto: true }],
    ["info auto_port_taken", { from: "reserved", auto: true }],
    ["info foreign_holder", { from: "preset" }],
    ["warn foreign_holder", { from: "record" }],
  ] as const
) {
  Deno.test(`judgePorts() says ${expected} when a foreign process holds a port ${JSON.stringify(given)}`, async () => {
    const host = new FakeHost();
    host.processes.add({ listens: [3001] });
    assertEquals(codes(await examine(host, [claim(given)])), [expected]);
  });
}

Deno.test("judgePorts() sees that another server of foster's has the port", async () => {
  const host = new FakeHost();
  const other = host.processes.add({ listens: [3001] });
  const [finding] = await examine(host, [claim()], new Map([[other.pid, "other"]]));
  assertMatch(finding?.message ?? "", /the server "other"$/);
});

Deno.test("judgePorts() does not mind listeners on other interfaces", async () => {
  const host = new FakeHost();
  host.processes.add({ listens: [{ port: 3001, address: "192.168.1.5" }] });
  assertEquals(await examine(host, [claim()]), []);
});

Deno.test("judgePorts() says so when the holder can't be seen, or nobody can be asked", async () => {
  const host = new FakeHost();
  host.processes.unnamed.set(3001, 1);
  const [hidden] = await examine(host, [claim()]);
  assertEquals([hidden?.level, hidden?.code], ["warn", "foreign_holder"]);
  assertMatch(hidden?.message ?? "", /can't be seen/);
  host.processes.listenersUnknown = "lsof is missing";
  assertEquals(codes(await examine(host, [claim()])), ["info unknown_holder"]);
});

Deno.test("judgePorts() sees two servers that want one port; an unused preset is no matter", async () => {
  const host = new FakeHost();
  const both = [claim(), claim({ key: "other", name: "other" })];
  const [shared] = await examine(host, both);
  assertEquals([shared?.level, shared?.code], ["warn", "shared_port"]);
  assertEquals(shared?.fix, "foster up other --port 3002");
  const preset = [claim(), claim({ key: "everything", name: "everything", from: "preset" })];
  assertEquals(codes(await examine(host, preset)), ["info shared_port"]);
  const namesakes = [claim(), claim({ key: "docs-01234567", from: "record" })];
  assertMatch((await examine(host, namesakes))[0]?.message ?? "", /"docs" \(docs-01234567\)/);
});

Deno.test("judgePorts() sees ports that Windows reserves: no HTTP port is ever moved", async () => {
  const host = new FakeHost();
  const reservedRanges = () => Promise.resolve([[3000, 3010], [9500, 9500]] as [number, number][]);
  const claims = [claim(), claim({ port: 9500, use: "ws" })];
  const seen = await observePorts({ processes: host.processes, net: { reservedRanges } }, {
    claims,
    serverOf: () => new Map(),
  });
  const findings = judgePorts(seen, shell);
  assertEquals(codes(findings), ["error reserved_port", "info reserved_port"]);
  assertEquals(findings.map(({ fix }) => fix), ["foster up docs --port 3011", "foster up docs"]);
});

for (
  const [expected, addresses] of [
    [["warn double_bind"], [["own", "127.0.0.1"], ["other", "::"]]],
    [["warn double_bind"], [["own", "0.0.0.0"], ["other", "::"]]],
    [[], [["own", "0.0.0.0"], ["own", "::"]]],
    [[], [["own", "::"], ["worker", "::"]]],
    [[], [["own", "127.0.0.1"], ["other", "192.168.1.5"]]],
  ] as const
) {
  Deno.test(`judgePorts() finds ${JSON.stringify(expected)} when ${JSON.stringify(addresses)} listen`, async () => {
    const host = new FakeHost();
    const owners = new Map<number, string>();
    const pids = new Map<string, number>();
    for (const [who, address] of addresses) {
      const pid = pids.get(who);
      if (pid === undefined) {
        const process = host.processes.add({ listens: [{ port: 3001, address }] });
        pids.set(who, process.pid);
        owners.set(process.pid, "docs");
      } else host.processes.get(pid).listens.push({ port: 3001, address });
    }
    assertEquals(codes(await examine(host, [claim()], owners)), [...expected]);
  });
}

Deno.test("claimsOf() and judgePorts() know the gateway's port, and its supervisor's from a foreign process", async () => {
  const host = new FakeHost();
  host.files.put("/state/ports.json", JSON.stringify({ "/gateway": 20001 }));
  const claims = await claimsOf(host, {
    state: new StateFolder(host, "/state"),
    definitions: [],
    managed: [],
  });
  assertEquals(claims.map(({ name, port }) => [name, port]), [["the gateway", 20001]]);
  const holder = host.processes.add({ executable: "/usr/bin/foster", listens: [20001] });
  assertEquals(await examine(host, claims, new Map([[holder.pid, "/gateway"]])), []);
  const [finding] = await examine(host, claims);
  assertMatch(finding?.message ?? "", /^port 20001 of the gateway \(chosen by foster\) is held by pid/);
  assertEquals(finding?.fix, "foster serve --port auto");
});
