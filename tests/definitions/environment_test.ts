import { assertEquals } from "@std/assert";
import {
  childEnvironment,
  type ChildEnvironmentOptions,
  findDevSource,
  isTruthy,
  pythonPath,
} from "../../src/definitions/launch/environment.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { define, inFolder, machine, varsOf } from "./machine.ts";

function environment(
  written: WrittenServer,
  inherited: Record<string, string>,
  options: Partial<ChildEnvironmentOptions> & { sessionFile?: string } = {},
): Record<string, string> {
  const definition = define(written);
  const vars = varsOf(definition, inherited);
  const values = { ...vars.values, sessionFile: options.sessionFile ?? "" };
  return childEnvironment({
    inherited,
    definition,
    vars: { ...vars, values },
    instanceToken: "f00:docs:1",
    system: "linux",
    ownerPid: null,
    devSource: null,
    extraPath: null,
    envFile: {},
    ...options,
  });
}

Deno.test("childEnvironment() gives the inherited variables, the definition's and the new cookie", () => {
  const inherited = Object.freeze({ PATH: "/bin", KEY: "secret", FOSTER_TOKEN: "older" });
  assertEquals(environment({ env: { PORT: "${port}", COPY: "${env:KEY}", KEY: "own" } }, inherited), {
    PATH: "/bin",
    KEY: "own",
    PORT: "3001",
    COPY: "secret",
    FOSTER_TOKEN: "f00:docs:1",
  });
});

Deno.test("childEnvironment() puts the lines of envFile under env", () => {
  const child = environment({ env: { A: "env" } }, { A: "caller", B: "caller" }, {
    envFile: { A: "file", B: "file" },
  });
  assertEquals([child.A, child.B], ["env", "file"]);
});

Deno.test("childEnvironment() does not let the definition forge the cookie", () => {
  assertEquals(environment({ env: { FOSTER_TOKEN: "forged" } }, {}).FOSTER_TOKEN, "f00:docs:1");
});

Deno.test("childEnvironment() merges in order: inherited, session file, PYTHONPATH, the definition's own", () => {
  const written: WrittenServer = {
    session: { env: "X_SESSION", payload: {} },
    devSource: { marker: "src/pkg/__init__.py" },
  };
  const options = { sessionFile: "/t/s.json", devSource: { root: "/w/src", replaced: [] } };
  const inherited = { X_SESSION: "old", PYTHONPATH: "/lib" };
  const child = environment(written, inherited, options);
  assertEquals([child.X_SESSION, child.PYTHONPATH], ["/t/s.json", "/w/src:/lib"]);
  const env = { X_SESSION: "mine", PYTHONPATH: "/mine" };
  const own = environment({ ...written, env }, inherited, options);
  assertEquals([own.X_SESSION, own.PYTHONPATH], ["mine", "/mine"]);
});

Deno.test("childEnvironment() switches telemetry off only where it is to be and is not off already", () => {
  const telemetry = (disable: boolean) => ({ telemetry: { disable, env: ["X_OFF", "DISABLE_TELEMETRY"] } });
  const table: [boolean, Record<string, string>, string | undefined][] = [
    [false, {}, undefined],
    [true, {}, "true"],
    [true, { X_OFF: "0" }, "true"],
    [true, { X_OFF: "" }, "true"],
    [true, { X_OFF: "false", DISABLE_TELEMETRY: "0" }, "true"],
    [true, { X_OFF: "yes" }, "yes"],
    [true, { DISABLE_TELEMETRY: " ON " }, undefined],
    [false, { X_OFF: "0" }, "0"],
  ];
  for (const [disable, inherited, expected] of table) {
    assertEquals(environment(telemetry(disable), inherited).X_OFF, expected, JSON.stringify(inherited));
  }
});

Deno.test("childEnvironment() names the owner where there is one, and not on Windows", () => {
  const written = { ownerEnv: "X_OWNER" };
  assertEquals(environment(written, {}, { ownerPid: 812 }).X_OWNER, "812");
  assertEquals(environment(written, {}, { ownerPid: null }).X_OWNER, undefined);
  assertEquals(environment(written, {}, { ownerPid: 812, system: "windows" }).X_OWNER, undefined);
  assertEquals(environment({}, {}, { ownerPid: 812 }).X_OWNER, undefined);
});

Deno.test("childEnvironment() takes variables as one whatever their case on Windows", () => {
  const inherited = { Path: "C:\\bin", foster_token: "older" };
  const child = environment({ env: { PATH: "C:\\mine" } }, inherited, { system: "windows" });
  assertEquals(child, { Path: "C:\\mine", FOSTER_TOKEN: "f00:docs:1" });
});

Deno.test("childEnvironment() adds the command's folder to PATH where it was found off it", () => {
  assertEquals(environment({}, { PATH: "/bin" }, { extraPath: "/n/bin" }).PATH, "/n/bin:/bin");
  assertEquals(environment({}, {}, { extraPath: "/n/bin" }).PATH, "/n/bin");
});

Deno.test("isTruthy() knows exactly 1, true, yes and on", () => {
  for (const text of ["1", "true", "yes", "on", " TRUE ", "On"]) assertEquals(isTruthy(text), true, text);
  for (const text of [undefined, "", "0", "false", "no", "off", "2", "y", "enabled"]) {
    assertEquals(isTruthy(text), false, text);
  }
});

Deno.test("pythonPath() puts the root first, or in place of the entries that have the package", () => {
  const root = "/w/src";
  const replaced = ["/old", "/older"];
  const table: ["prefix" | "replace", string | undefined, string][] = [
    ["prefix", undefined, "/w/src"],
    ["prefix", "", "/w/src"],
    ["prefix", "/a:/old", "/w/src:/a:/old"],
    ["replace", undefined, "/w/src"],
    ["replace", "/a:/b", "/w/src:/a:/b"],
    ["replace", "/a:/old:/b", "/a:/w/src:/b"],
    ["replace", "/a::/old: :/a:/older:/b", "/a:/w/src:/b"],
    ["replace", "/a:/w/src", "/a:/w/src"],
  ];
  for (const [mode, inherited, expected] of table) {
    assertEquals(
      pythonPath(inherited, { root, replaced, mode, system: "linux" }),
      expected,
      `${mode} ${inherited}`,
    );
  }
  const windows = { root: "W", replaced: [], mode: "prefix", system: "windows" } as const;
  assertEquals(pythonPath("C:\\a", windows), "W;C:\\a");
});

Deno.test("findDevSource() finds the checkout at most five folders up, and who else has the package", async () => {
  await inFolder({
    "repo/src/pkg/__init__.py": "",
    "other/pkg/__init__.py": "",
    "lib/unrelated.py": "",
    "repo/1/2/3/4/5/6/x": "",
  }, async (folder) => {
    const devSource = { marker: "src/pkg/__init__.py", mode: "replace" } as const;
    const host = machine({ PYTHONPATH: `${folder}/lib:${folder}/other::${folder}/missing` });
    const found = { root: `${folder}/repo/src`, replaced: [`${folder}/other`] };
    const table: [string, typeof found | null][] = [
      ["repo", found],
      ["repo/1/2/3/4/5", found],
      ["repo/1/2/3/4/5/6", null],
      ["other", null],
    ];
    for (const [base, expected] of table) {
      assertEquals(await findDevSource(host, { devSource, baseFolder: `${folder}/${base}` }), expected, base);
    }
    assertEquals(await findDevSource(host, { devSource: null, baseFolder: `${folder}/repo` }), null);
  });
});
