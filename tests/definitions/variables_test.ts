import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DefinitionError } from "../../src/definitions/definition_error.ts";
import { expandCwd, expandLaunch, expandPayload } from "../../src/definitions/launch/command_line.ts";
import {
  expand,
  expandArguments,
  expandJson,
  unsetVariables,
  usesVariable,
  variablesOf,
} from "../../src/definitions/variables.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { define, varsOf } from "./machine.ts";

const vars = variablesOf({ host: "::1", path: "/mcp", version: "2.4.2", baseFolder: "/project" }, {
  port: 3001,
  wsPort: 9500,
  pidFile: "/s/server.pid",
  sessionFile: "/tmp/session.json",
  sessionId: "project@1a2b",
  stateDir: "/s",
  ownerPid: 812,
  token: "f00:docs:1",
  env: (name) => ({ KEY: "secret", EMPTY: "" })[name],
  commands: new Map([["pass show x", "from pass"], ["nothing", ""]]),
});

Deno.test("expand() puts in every variable", () => {
  const table: [string, string][] = [
    ["${port}", "3001"],
    ["${wsPort}", "9500"],
    ["${host}", "::1"],
    ["${path}", "/mcp"],
    ["${version}", "2.4.2"],
    ["${pidFile}", "/s/server.pid"],
    ["${sessionFile}", "/tmp/session.json"],
    ["${sessionId}", "project@1a2b"],
    ["${stateDir}", "/s"],
    ["${configDir}", "/project"],
    ["${ownerPid}", "812"],
    ["${token}", "f00:docs:1"],
    ["${env:KEY}", "secret"],
    ["${env:UNSET}", ""],
    ["${env:KEY:-default}", "secret"],
    ["${env:UNSET:-a default}", "a default"],
    ["${env:EMPTY:-x:-y}", "x:-y"],
    ["${env:UNSET:-}", ""],
    ["${cmd:pass show x}", "from pass"],
    ["${cmd: pass show x }", "from pass"],
    ["$${cmd:pass}", "${cmd:pass}"],
    ["http://${host}:${port}${path}", "http://::1:3001/mcp"],
    ["$${port}", "${port}"],
    ["$$${port}", "$${port}"],
    ["$port $ {} $", "$port $ {} $"],
    ["", ""],
  ];
  for (const [text, full] of table) assertEquals(expand(text, vars).full, full, text);
});

Deno.test("expand() does not expand what a variable brought in", () => {
  const nested = { ...vars, env: () => "${port}" };
  assertEquals(expand("${env:X}", nested).full, "${port}");
});

Deno.test("expand() keeps environment values out of the masked rendering", () => {
  assertEquals(expand("--key=${env:KEY} --port=${port}", vars), {
    full: "--key=secret --port=3001",
    masked: "--key=${env:KEY} --port=3001",
    hasEmpty: false,
  });
});

Deno.test("expand() keeps what a command printed out of the masked rendering, and a default in it", () => {
  assertEquals(expand("a=${cmd:pass show x} b=${env:UNSET:-d}", vars), {
    full: "a=from pass b=d",
    masked: "a=${cmd:pass show x} b=${env:UNSET:-d}",
    hasEmpty: false,
  });
  assertEquals(expand("${cmd:nothing}${env:EMPTY:-x}", vars).hasEmpty, true);
});

Deno.test("expand() refuses unknown variables and says what was probably meant", () => {
  const table: [string, string, string][] = [
    ["${prot}", "has the unknown variable ${prot}", 'did you mean "${port}"?'],
    ["${wsport}", "has the unknown variable ${wsport}", 'did you mean "${wsPort}"?'],
    ["${HOME}", "has the unknown variable ${HOME}", 'did you mean "${env:HOME}"?'],
    ["${banana}", "has the unknown variable ${banana}", "there are ${port}"],
    ["${env:}", "has the unknown variable ${env:}", "${env:NAME}"],
    ["${}", "has the unknown variable ${}", "there are ${port}"],
    ["a ${port", 'has a "${" without "}"', 'write "$${"'],
    ["${cmd:}", "has a ${cmd:…} without a program", "${cmd:pass"],
    ["${cmd:pass 'x}", "has a ${cmd:…} in which a quote has no partner", "${cmd:pass"],
  ];
  for (const [text, message, hint] of table) {
    const place = { file: "/p/foster.json", server: "docs", key: "args.0" };
    const error = assertThrows(() => expand(text, vars, place), DefinitionError);
    assertStringIncludes(error.message, `/p/foster.json: server "docs": "args.0" ${message}`);
    assertStringIncludes(error.hint ?? "", hint);
  }
});

Deno.test("variablesOf() pins no version to a range and leaves what a start lacks empty", () => {
  const table: [string | null, string][] = [["2.4.2", "2.4.2"], ["1.0.0-rc.1", "1.0.0-rc.1"], ["^2.4", ""], [
    "2",
    "",
  ], [
    null,
    "",
  ]];
  for (const [version, pinned] of table) {
    assertEquals(varsOf(define({ version })).values.version, pinned, String(version));
  }
  const { wsPort, sessionFile, ownerPid } = varsOf(define({})).values;
  assertEquals([wsPort, sessionFile, ownerPid], ["", "", ""]);
});

Deno.test("expandArguments() leaves an inner list out whole when a variable in it is empty", () => {
  const args = [
    "--port",
    "${port}",
    ["--ws-port", "${wsPort}"],
    ["--key", "${env:KEY}", "${env:EMPTY}"],
    ["--plain"],
    "${env:UNSET}",
  ];
  assertEquals(expandArguments(args, vars), {
    args: ["--port", "3001", "--ws-port", "9500", "--plain", ""],
    maskedArgs: ["--port", "3001", "--ws-port", "9500", "--plain", "${env:UNSET}"],
  });
});

Deno.test("expandJson() expands texts at every depth and leaves keys and other values alone", () => {
  assertEquals(
    expandJson({ "${port}": ["${port}", { id: "${sessionId}" }, 1, true, null] }, vars),
    { "${port}": ["3001", { id: "project@1a2b" }, 1, true, null] },
  );
});

Deno.test("expandLaunch() puts refresh arguments first, then the tier's own, then the shared ones", () => {
  const definition = define({
    command: undefined,
    launch: [{ tier: "uvx", command: "uvx", args: [["--from", "x==${version}"], "x"] }],
    args: ["--key", "${env:KEY}"],
    version: "1.2.3",
    refreshArgs: ["--refresh"],
  });
  const [tier] = definition.launch;
  if (tier === undefined) throw new Error("no tier");
  const options = { definition, vars: varsOf(definition, { KEY: "secret" }) };
  assertEquals(expandLaunch(tier, options), {
    command: "uvx",
    maskedCommand: "uvx",
    args: ["--from", "x==1.2.3", "x", "--key", "secret"],
    maskedArgs: ["--from", "x==1.2.3", "x", "--key", "${env:KEY}"],
  });
  assertEquals(expandLaunch(tier, { ...options, refresh: true }).args.slice(0, 2), ["--refresh", "--from"]);
});

Deno.test("expandCwd() begins at the definition's folder", () => {
  const table: [string | undefined, string][] = [
    [undefined, "/base"],
    ["sub/../other", "/base/other"],
    ["${env:ROOT}/x", "/root/x"],
    ["${configDir}", "/base"],
    ["${env:UNSET}", "/base"],
  ];
  for (const [cwd, folder] of table) {
    const definition = define(cwd === undefined ? {} : { cwd });
    assertEquals(expandCwd(definition, varsOf(definition, { ROOT: "/root" })), folder);
  }
});

Deno.test("expandPayload() expands the session payload, and is null without a session", () => {
  const definition = define({
    session: { env: "X_SESSION", payload: { url: "http://${host}:${port}", n: 1 } },
  });
  assertEquals(expandPayload(definition, varsOf(definition)), { url: "http://127.0.0.1:3001", n: 1 });
  assertEquals(expandPayload(define({}), vars), null);
});

const CASES: { name: string; written: WrittenServer; tier?: string; unset: string[] }[] = [
  { name: "none where none is asked for", written: { args: ["$${env:KEY}", "${port}"] }, unset: [] },
  { name: "one in env", written: { env: { A: "x${env:KEY}" } }, unset: ["KEY"] },
  {
    name: "each of them once",
    written: { args: ["${env:KEY}", "${env:OTHER}"], env: { A: "${env:KEY}" } },
    unset: ["KEY", "OTHER"],
  },
  {
    name: "none that is set, be it to nothing",
    written: { args: ["${env:SET}", "${env:EMPTY}"] },
    unset: [],
  },
  { name: "none of a group, which may be left out", written: { args: [["--key", "${env:KEY}"]] }, unset: [] },
  { name: "none that has a default", written: { args: ["${env:KEY:-x}", "${env:KEY:-}"] }, unset: [] },
  { name: "one in the path of envFile", written: { envFile: "${env:KEY}.env" }, unset: ["KEY"] },
  {
    name: "one in the session",
    written: { session: { env: "S", payload: { deep: [{ key: "${env:KEY}" }] } } },
    unset: ["KEY"],
  },
  {
    name: "those of the tier that is started",
    written: {
      command: undefined,
      launch: [{ tier: "a", command: "x", args: ["${env:A}"] }, { tier: "b", command: "${env:B}" }],
    },
    tier: "b",
    unset: ["B"],
  },
];
const ENV: Record<string, string> = { SET: "value", EMPTY: "" };
for (const { name, written, tier = "command", unset } of CASES) {
  Deno.test(`unsetVariables() names ${name}`, () =>
    assertEquals(unsetVariables(define(written), { tier, env: (key) => ENV[key] }), unset));
}

Deno.test("usesVariable() looks into everything that a start and its end expand", () => {
  for (
    const written of [
      { args: ["a", ["${sessionId}"]] },
      { env: { A: "x-${sessionId}" } },
      { stop: { command: ["docker", "stop", "x-${sessionId}"] } },
      { session: { env: "S", payload: { a: ["${sessionId}"] } } },
    ] as WrittenServer[]
  ) assertEquals(usesVariable(define(written), "sessionId"), true, JSON.stringify(written));
  assertEquals(usesVariable(define({ args: ["$${sessionId}"] }), "sessionId"), false);
});
