import { assertEquals } from "@std/assert";
import { outOfUnit, unitThatEnds } from "../../src/supervisor/unit.ts";
import { FakeHost } from "../host/fake_host.ts";

const USER = "/user.slice/user-1000.slice/user@1000.service";

for (
  const [path, unit] of [
    [`${USER}/app.slice/app-code@1.service`, "app-code@1.service"],
    ["/system.slice/ci-runner.service", "ci-runner.service"],
    ["/system.slice/ci-runner.service/inner", "ci-runner.service"],
    ["/user.slice/user-1000.slice/session-3.scope", "session-3.scope"],
    // A scope stays for as long as a process is in it.
    [`${USER}/app.slice/vte-spawn-1.scope`, null],
    [`${USER}/app.slice/run-r1.scope`, null],
    // foster's own, as export installs it.
    [`${USER}/app.slice/foster.service`, null],
    [`${USER}`, null],
    ["/docker/0123", null],
    ["/init.scope", null],
    [null, null],
  ] as const
) {
  Deno.test(`unitThatEnds() is ${unit} for ${path}`, () => assertEquals(unitThatEnds(path), unit));
}

function machine({ unit = "/system.slice/ci.service", runtimeDir = true } = {}): FakeHost {
  const host = new FakeHost({
    env: { PATH: "/usr/bin", ...(runtimeDir ? { XDG_RUNTIME_DIR: "/run/1" } : {}) },
  });
  host.processes.unit = unit;
  return host;
}

Deno.test("outOfUnit() is systemd-run where there is one, a unit to leave and somebody to ask", async () => {
  const host = machine();
  assertEquals(await outOfUnit(host, "/"), null);
  host.files.put("/usr/bin/systemd-run", "", 0o755);
  assertEquals(await outOfUnit(host, "/"), [
    "/usr/bin/systemd-run",
    "--user",
    "--scope",
    "--quiet",
    "--collect",
    "--",
  ]);
  for (const other of [machine({ runtimeDir: false }), machine({ unit: "/init.scope" })]) {
    other.files.put("/usr/bin/systemd-run", "", 0o755);
    assertEquals(await outOfUnit(other, "/"), null);
  }
});
