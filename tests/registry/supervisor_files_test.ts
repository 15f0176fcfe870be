import { assertEquals, assertMatch } from "@std/assert";
import { StateFolder } from "../../src/registry/store.ts";
import {
  type Enrolled,
  readEnrolled,
  readSessionFile,
  readSupervisorFile,
  type SessionFile,
  sessionIds,
  type SupervisorFile,
  writeEnrolled,
  writeSessionFile,
  writeSupervisorFile,
} from "../../src/registry/supervisor_files.ts";
import { FakeHost } from "../host/fake_host.ts";

const PLAIN = { folder: null, idle_ms: null, timeout_ms: null, owner: null };

const STATE = "/state";
const AT = "2026-01-01T00:00:00.000Z";

const SUPERVISOR: SupervisorFile = {
  schema: 1,
  pid: 700,
  start_token: "proc:boot:700",
  pid_namespace: "4026531836",
  version: "0.2.0",
  build: null,
  control: 1,
  endpoint: "http://127.0.0.1:20000",
  since: AT,
  ends_with: "session-3.scope",
};

const ENROLLED: Enrolled = {
  schema: 1,
  stay: true,
  port: 20000,
  gateway: { token: false, listen: "::1", hosts: ["devbox"] },
  files: [{
    path: "/project/foster.json",
    sha256: "0".repeat(64),
    servers: [{ name: "docs", key: "docs-01234567", by: "connect", stays_down: false, ...PLAIN }],
  }, {
    path: null,
    sha256: null,
    servers: [{ name: "demo", key: "demo", by: "up", stays_down: true, ...PLAIN }],
  }],
};

const SESSION: SessionFile = {
  schema: 1,
  id: "0123456789abcdef",
  key: "docs",
  revision: "2025-06-18",
  initialize: { capabilities: {} },
  level: "info",
  subscriptions: ["file:///a"],
  server_session: null,
  since: AT,
  used_at: AT,
};

function machine(): FakeHost {
  const host = new FakeHost();
  host.files.putDir(STATE);
  return host;
}

Deno.test("readSupervisorFile() reads what writeSupervisorFile() wrote, for its owner alone", async () => {
  const host = machine();
  assertEquals(await readSupervisorFile(host, STATE), { kind: "none" });
  await writeSupervisorFile(host, STATE, SUPERVISOR);
  assertEquals(await readSupervisorFile(host, STATE), { kind: "file", value: SUPERVISOR });
  assertEquals((await host.files.stat(`${STATE}/supervisor.json`))?.mode, 0o600);
});

for (
  const [name, value] of [
    ["schema", 2],
    ["pid", 0],
    ["start_token", ""],
    ["endpoint", "http://192.168.1.5:20000"],
    ["endpoint", "http://127.0.0.1:20000@evil.example"],
    ["version", ""],
    ["control", "1"],
  ] as const
) {
  Deno.test(`readSupervisorFile() uses none whose ${name} is ${JSON.stringify(value)}`, async () => {
    const host = machine();
    host.files.put(`${STATE}/supervisor.json`, JSON.stringify({ ...SUPERVISOR, [name]: value }));
    const file = await readSupervisorFile(host, STATE);
    assertMatch(file.kind === "unusable" ? file.why : "", new RegExp(`^"${name}"`));
  });
}

Deno.test("readEnrolled() reads what writeEnrolled() wrote", async () => {
  const host = machine();
  await writeEnrolled(host, STATE, ENROLLED);
  assertEquals(await readEnrolled(host, STATE), { kind: "file", value: ENROLLED });
});

Deno.test("readEnrolled() follows no link", async () => {
  const host = machine();
  host.files.put("/elsewhere.json", JSON.stringify(ENROLLED));
  host.files.putLink(`${STATE}/enrolled.json`, "/elsewhere.json");
  assertEquals(await readEnrolled(host, STATE), { kind: "unusable", why: "it is a link" });
});

Deno.test("readSessionFile() reads what writeSessionFile() wrote, under its own name alone", async () => {
  const host = machine();
  await writeSessionFile(host, STATE, SESSION);
  assertEquals(await sessionIds(host, STATE), [SESSION.id]);
  assertEquals(await readSessionFile(host, STATE, SESSION.id), { kind: "file", value: SESSION });
  const other = "fedcba9876543210";
  host.files.put(`${STATE}/sessions/${other}.json`, JSON.stringify(SESSION));
  assertEquals((await readSessionFile(host, STATE, other)).kind, "unusable");
});

Deno.test("gatewayToken() and controlToken() are made once, for their owner alone, and differ", async () => {
  const host = machine();
  const state = new StateFolder(host, STATE);
  const tokens = [await state.gatewayToken(), await state.controlToken()];
  assertEquals(tokens[0] === tokens[1], false);
  const again = new StateFolder(host, STATE);
  assertEquals([await again.gatewayToken(), await again.controlToken()], tokens);
  for (const name of ["gateway.token", "control.token"]) {
    assertEquals((await host.files.stat(`${STATE}/${name}`))?.mode, 0o600);
    assertMatch(host.files.text(`${STATE}/${name}`) ?? "", /^[0-9a-f]{64}\n$/);
  }
});
