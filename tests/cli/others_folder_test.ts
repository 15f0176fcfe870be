import { assertEquals, assertStringIncludes } from "@std/assert";
import { runFoster } from "../../src/cli/app.ts";
import { keyIn } from "../../src/definitions/load.ts";
import { HostError } from "../../src/host/host.ts";
import { FakeHost } from "../host/fake_host.ts";
import { FOSTER_JSON, STATE } from "./command_line.ts";

const TWO = `{"servers": {
  "a": {"command": "no-such-program-a", "port": 4101},
  "b": {"command": "no-such-program-b", "port": 4102}
}}`;

function place(): FakeHost {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  host.files.put(FOSTER_JSON, TWO);
  return host;
}

/** The folder of a server belongs to somebody else, who lets nobody look into it. */
function closed(host: FakeHost, path: string): void {
  host.files.setOwner(path, 4711);
  for (const method of ["list", "readSlice", "readText"] as const) {
    const real = host.files[method].bind(host.files) as (...args: unknown[]) => Promise<unknown>;
    Object.assign(host.files, {
      [method]: (file: string, ...rest: unknown[]) =>
        file.startsWith(`${path}/`)
          ? Promise.reject(new HostError("denied", `Cannot read ${file}`))
          : real(file, ...rest),
    });
  }
}

for (const args of [["a", "b"], ["--all"]]) {
  Deno.test(`down ${args.join(" ")} says whose folder one server's is, and stops the other`, async () => {
    const host = place();
    const key = await keyIn(host, { name: "a", file: FOSTER_JSON });
    const folder = `${STATE}/servers/${key}`;
    host.files.put(`${folder}/record.json`, "{}");
    closed(host, folder);
    const other = await keyIn(host, { name: "b", file: FOSTER_JSON });
    host.files.put(`${STATE}/servers/${other}/record.json`, "{ broken");
    assertEquals(await runFoster(host, ["down", ...args, "--json"]), 2);
    const { servers } = JSON.parse(host.terminal.outText);
    assertEquals(servers.map((row: { key: string; state: string }) => [row.key, row.state]), [
      [key, "uninitialized"],
      [other, "stopped"],
    ]);
    assertStringIncludes(servers[0].message, `"${folder}" belongs to another user (4711)`);
  });
}

Deno.test("a current folder that may not be looked into is not called gone", async () => {
  const host = place();
  await host.files.remove(FOSTER_JSON);
  const stat = host.files.stat.bind(host.files);
  host.files.stat = (path) =>
    path === host.program.folder
      ? Promise.reject(new HostError("denied", `Cannot look at ${path}`))
      : stat(path);
  assertEquals(await runFoster(host, ["status", "a"]), 2);
  assertStringIncludes(
    host.terminal.errText,
    `the current folder ${host.program.folder} may not be looked into`,
  );
});
