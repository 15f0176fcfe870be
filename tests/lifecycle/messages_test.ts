import { printable } from "../../src/base/printable.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  answerHint,
  foreignPortMessage,
  type HeldPort,
  heldPortHint,
  type IncompatibleFacts,
  incompatibleMessage,
  lastLines,
  outputHint,
  reservedPortHint,
  unheardHint,
} from "../../src/lifecycle/messages.ts";
import { UNREACHED } from "../../src/mcp/snapshot.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { define } from "../definitions/machine.ts";
import { says } from "./observations.ts";

const FACTS: IncompatibleFacts = {
  name: "docs",
  port: 3001,
  wsPort: 9500,
  expectedName: "docs-server",
  expectedVersion: "2.4.2",
  live: null,
  holders: "pid 812 (python3)",
  canRecover: false,
  isAuto: false,
  overrides: { port: null, version: null },
};

const CASES: { name: string; facts: Partial<IncompatibleFacts>; holds: string[]; without?: string[] }[] = [
  {
    name: "both WebSocket ports when the right server has another one",
    facts: { live: says({ name: "docs-server", version: "2.4.2", wsPort: 9600 }) },
    holds: ["3001", "docs-server", "2.4.2", "9600", "9500"],
  },
  {
    name: "live and expected version when they differ",
    facts: { live: says({ name: "docs-server", version: "2.3.0", wsPort: 9500 }) },
    holds: ["3001", "2.3.0", "2.4.2"],
    without: ["9500"],
  },
  {
    name: "the version of a server that does not tell its name",
    facts: { live: says({ version: "2.3.0" }) },
    holds: ["a server of version 2.3.0"],
  },
  {
    name: "no version of a server with a foreign name",
    facts: { live: says({ name: "other", version: "2.3.0" }) },
    holds: ["unverified server (HTTP 200)"],
    without: ["2.3.0"],
  },
  {
    name: "an unverified server with its HTTP code",
    facts: { live: says({ statusCode: 404, error: "http_404" }) },
    holds: ["unverified server", "404"],
  },
  {
    name: "another process when nothing answered",
    facts: { live: { ...UNREACHED, error: "connect_timeout" } },
    holds: ["another process"],
  },
  { name: "another process when nobody was asked", facts: { live: null }, holds: ["another process"] },
  {
    name: "where the wrong version was loaded from",
    facts: { live: says({ name: "docs-server", version: "2.3.0", packagePath: "/old/lib" }) },
    holds: ["(loaded from /old/lib)"],
  },
  {
    name: "where the server on the wrong WebSocket port was loaded from",
    facts: { live: says({ name: "docs-server", version: "2.4.2", wsPort: 9600, packagePath: "/old/lib" }) },
    holds: ["(loaded from /old/lib)"],
  },
  {
    name: "where a server without a name was loaded from",
    facts: { live: says({ version: "2.3.0", packagePath: "/old/lib" }) },
    holds: ["(loaded from /old/lib)"],
  },
  {
    name: "not where a foreign server was loaded from",
    facts: { live: says({ name: "other", version: "2.3.0", packagePath: "/old/lib" }) },
    holds: ["unverified"],
    without: ["/old/lib"],
  },
];
for (const { name, facts, holds, without = [] } of CASES) {
  Deno.test(`incompatibleMessage() tells ${name}`, () => {
    const { message, hint } = incompatibleMessage({ ...FACTS, ...facts });
    for (const part of [...holds, '"docs"', "3001", "pid 812 (python3)"]) assertStringIncludes(message, part);
    for (const part of without) assert(!message.includes(part), message);
    assertStringIncludes(hint, "stop that process");
    assertStringIncludes(hint, "both its HTTP port and its WebSocket port");
  });
}

Deno.test("incompatibleMessage() speaks of one port when the server has no WebSocket side", () =>
  assert(!incompatibleMessage({ ...FACTS, wsPort: null }).hint.includes("WebSocket")));

Deno.test("incompatibleMessage() says how to get another automatic port, where that alone is enough", () => {
  const unverified = { ...FACTS, isAuto: true, live: says({ statusCode: 404 }) };
  assertStringIncludes(incompatibleMessage(unverified).hint, 'foster up "docs" --port auto');
  const sameKind = { ...FACTS, isAuto: true, live: says({ name: "docs-server", version: "2.3.0" }) };
  assertStringIncludes(incompatibleMessage(sameKind).hint, "both its HTTP port and its WebSocket port");
  const { hint } = incompatibleMessage({ ...sameKind, wsPort: null });
  assertStringIncludes(hint, 'foster up "docs" --port auto');
});

Deno.test("incompatibleMessage() offers a recovery only where there is one", () => {
  assertStringIncludes(incompatibleMessage({ ...FACTS, canRecover: true }).hint, 'foster recover "docs"');
  assert(!incompatibleMessage({ ...FACTS, canRecover: false }).hint.includes("recover"));
});

Deno.test("incompatibleMessage() names what an earlier command line still says, and nothing otherwise", () => {
  const { hint } = incompatibleMessage({ ...FACTS, overrides: { port: 3005, version: "9.9.9" } });
  assertStringIncludes(
    hint,
    "--port 3005 and --version 9.9.9 of an earlier foster up still hold; foster down",
  );
  assert(!incompatibleMessage(FACTS).hint.includes("earlier"));
});

const HELD: HeldPort = {
  isAuto: false,
  port: 3001,
  holders: "pid 812 (python3)",
  endpoint: "http://127.0.0.1:3001/mcp",
  overriddenPort: null,
};

Deno.test("foreignPortMessage() says who holds the port and what to type", () => {
  const { message, hint } = foreignPortMessage("docs", HELD);
  for (const part of ['"docs"', "3001", "pid 812 (python3)", "did not start"]) {
    assertStringIncludes(message, part);
  }
  assertStringIncludes(hint, 'foster up "docs" --port');
  assertStringIncludes(hint, '"identity": { "name": … } (foster probe http://127.0.0.1:3001/mcp prints');
});

Deno.test("foreignPortMessage() names the port that an earlier command line still says", () =>
  assertStringIncludes(
    foreignPortMessage("docs", { ...HELD, overriddenPort: 3001 }).hint,
    '--port 3001 of an earlier foster up still holds; foster down "docs" forgets it',
  ));

Deno.test("heldPortHint() asks for no name where the definition has one", () =>
  assert(!heldPortHint("docs", { ...HELD, isNamed: true }).includes("identity")));

const UNHEARD: { name: string; given: WrittenServer; isHinted: boolean }[] = [
  { name: "arguments without a port", given: { args: ["serve"] }, isHinted: true },
  { name: "another port in the arguments", given: { args: ["--port", "8080"] }, isHinted: true },
  { name: "an escaped variable", given: { args: ["--port", "$${port}"] }, isHinted: true },
  { name: "the variable of another port", given: { args: ["${wsPort}"] }, isHinted: true },
  { name: "the variable in an argument", given: { args: ["--port=${port}"] }, isHinted: false },
  { name: "the variable in a group", given: { args: [["--port", "${port}"]] }, isHinted: false },
  { name: "the port as it is", given: { args: ["--port", "3001"] }, isHinted: false },
  { name: "the variable in env", given: { env: { PORT: "${port}" } }, isHinted: false },
  { name: "the variable in the command", given: { command: "serve-${port}" }, isHinted: false },
  {
    name: "the variable in a tier",
    given: { command: undefined, launch: [{ tier: "a", command: "serve", args: ["${port}"] }] },
    isHinted: false,
  },
  {
    name: "the variable in the session",
    given: { session: { env: "S", payload: { listen: ["${port}"] } } },
    isHinted: false,
  },
];
for (const { name, given, isHinted } of UNHEARD) {
  Deno.test(`unheardHint() ${isHinted ? "tells of the variable" : "is silent"} with ${name}`, () =>
    assertEquals(unheardHint(define(given), 3001).includes("${port}"), isHinted));
}

Deno.test("foreignPortMessage() says that the holder can't be seen", () =>
  assertStringIncludes(foreignPortMessage("docs", { ...HELD, holders: "" }).message, "can't be seen"));

const RESERVED = "[WinError 10013] An attempt was made to access a socket";
const FORBIDDEN = "a socket in a way FORBIDDEN BY ITS ACCESS PERMISSIONS";
const IN_USE = "OSError: [Errno 98] Address already in use";
const NO_MODULE = "ModuleNotFoundError: No module named 'server'";

const HINTS: { name: string; output: string; holds: string }[] = [
  { name: "a reserved port", output: RESERVED, holds: "winnat" },
  { name: "a reserved port in any case", output: FORBIDDEN, holds: "winnat" },
  { name: "a reserved port before a port in use", output: `${IN_USE}\n${RESERVED}`, holds: "winnat" },
  { name: "a reserved port before a missing module", output: `${NO_MODULE}\n${FORBIDDEN}`, holds: "winnat" },
  { name: "a port in use by its number", output: "oserror: [errno 98]", holds: "foster doctor ports" },
  { name: "a port in use on Windows", output: "[WINERROR 10048]", holds: "foster doctor ports" },
  { name: "a port in use in words", output: "ADDRESS ALREADY IN USE", holds: "foster doctor ports" },
  { name: "a port in use from Node", output: "Error: listen EADDRINUSE", holds: "foster doctor ports" },
  {
    name: "a port in use before a missing module",
    output: `${NO_MODULE}\n${IN_USE}`,
    holds: "foster doctor ports",
  },
  { name: "a missing module", output: NO_MODULE, holds: "uv cache clean" },
  { name: "a missing module in lower case", output: "no module named server", holds: "uv cache clean" },
];
for (const { name, output, holds } of HINTS) {
  Deno.test(`outputHint() knows ${name}`, () => assertStringIncludes(outputHint(output, 3001), holds));
}

for (const output of ["", "Segmentation fault", "[Errno 980] nothing", "WinError 5"]) {
  Deno.test(`outputHint() knows nothing of ${JSON.stringify(output)}`, () =>
    assertEquals(outputHint(output, 3001), ""));
}

Deno.test("outputHint() says of a reserved port what is said before a start", () =>
  assertEquals(outputHint(RESERVED, 3001), reservedPortHint(3001)));

Deno.test("printable() takes terminal escapes and control characters out", () =>
  assertEquals(
    printable("\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x00\x08 \x9b tab\there\r\nnext"),
    "red link  tab\there\nnext",
  ));

Deno.test("lastLines() keeps the last lines that say something", () =>
  assertEquals(lastLines("one\n\ntwo  \n \nthree\n\n\n", 2), "two\nthree"));

Deno.test("lastLines() begins with the line that holds the error, where that stands before them", () =>
  assertEquals(lastLines("Error: no such file\nbye\nbye now\n", 2), "Error: no such file\nbye now"));

Deno.test("lastLines() is empty when nothing was said", () => assertEquals(lastLines("\n \n", 3), ""));

Deno.test("outputHint() names the program that env did not find", () =>
  assertStringIncludes(
    outputHint("/usr/bin/env: \u2018nosuchnode\u2019: No such file or directory", 3001),
    "nosuchnode, which the first line of its script names, is not on PATH",
  ));

for (
  const [last, output, given, expected] of [
    ["HTTP 403 Forbidden", "", {}, '"host": "localhost"'],
    ["HTTP 403 Forbidden", "", { host: "localhost" }, null],
    ["HTTP 404 Not Found", "", { transport: "sse" }, "/sse"],
    ["HTTP 404 Not Found", "", {}, '"path"'],
    ["HTTP 401 Unauthorized", "", {}, '"headers"'],
    ["connection refused", "Server running on stdio", {}, '"transport": "stdio"'],
    ["connection refused", "", {}, null],
  ] as const
) {
  Deno.test(`answerHint() suggests ${expected} after ${last} "${output}" with ${JSON.stringify(given)}`, () => {
    const definition = define({ command: "x", port: 3001, ...given } as WrittenServer);
    const hint = answerHint(definition, { last, output });
    if (expected === null) assertEquals(hint, "");
    else assertStringIncludes(hint, expected);
  });
}
