import { assert, assertEquals } from "@std/assert";
import { convert } from "../../src/clients/import_convert.ts";
import { addedLines, addServers, newFile } from "../../src/clients/edit_json.ts";
import { entriesOf, type ImportForm, knownPlaces, projectOf } from "../../src/clients/import_places.ts";
import { planImport } from "../../src/clients/import_plan.ts";
import { isSecret } from "../../src/clients/import_secrets.ts";
import { parseDefinitionText } from "../../src/definitions/jsonc.ts";

const NOWHERE = { project: null, folder: "/work" };

function converted(value: Record<string, unknown>, form: ImportForm = "mcpServers") {
  const result = convert({ name: "docs", form, value }, NOWHERE);
  assert(result.kind === "definition", JSON.stringify(result));
  return result;
}

Deno.test("convert() makes a stdio definition of a command", () => {
  const { definition, notes } = converted({ command: "npx", args: ["-y", "some-server"], type: "stdio" });
  assertEquals(definition, { command: "npx", args: ["-y", "some-server"], transport: "stdio" });
  assertEquals(notes, []);
});

Deno.test("convert() takes a command that stands as an object", () => {
  const { definition } = converted(
    { source: "custom", command: { path: "/bin/server", args: ["a"], env: { LEVEL: "2" } } },
    "context_servers",
  );
  assertEquals(definition, {
    command: "/bin/server",
    args: ["a"],
    env: { LEVEL: "2" },
    transport: "stdio",
  });
});

Deno.test("convert() makes a server with a port of a loopback url beside a command", () => {
  const { definition } = converted({ command: "server", url: "http://[::1]:3001/sse" });
  assertEquals(definition, { command: "server", host: "::1", port: 3001, path: "/sse", transport: "sse" });
});

for (
  const { what, value, reason } of [
    {
      what: "a remote url",
      value: { url: "https://mcp.example.com/mcp" },
      reason: /remote \(mcp.example.com\)/,
    },
    {
      what: "a remote url beside a command",
      value: { command: "x", url: "http://10.0.0.1:80/" },
      reason: /remote/,
    },
    {
      what: "a loopback url alone",
      value: { type: "http", url: "http://localhost:3001/mcp" },
      reason: /not how/,
    },
    {
      what: "a loopback url over TLS",
      value: { command: "x", url: "https://localhost:3001/" },
      reason: /http only/,
    },
    {
      what: "a client of foster",
      value: { command: "/home/me/.local/bin/foster", args: ["connect", "docs"] },
      reason: /client of foster's already/,
    },
    {
      what: "a client of foster on Windows",
      value: { command: "C:\\tools\\foster.exe", args: ["--quiet", "connect", "docs"] },
      reason: /client of foster's already/,
    },
    { what: "no command at all", value: { args: [] }, reason: /no command/ },
    {
      what: "a server that is switched off",
      value: { command: "x", disabled: true },
      reason: /switched off/,
    },
  ]
) {
  Deno.test(`convert() leaves out ${what} and says why`, () => {
    const result = convert({ name: "docs", form: "mcpServers", value }, NOWHERE);
    assert(result.kind === "left_out" && reason.test(result.reason), JSON.stringify(result));
  });
}

for (
  const { form, from, to } of [
    { form: "mcpServers", from: "${HOME}/x", to: "${env:HOME}/x" },
    { form: "mcpServers", from: "${ROOT:-/srv}", to: "${env:ROOT}" },
    { form: "mcpServers", from: "${workspaceFolder}/a", to: "${configDir}/a" },
    { form: "servers", from: "${env:HOME}/x", to: "${env:HOME}/x" },
    { form: "servers", from: "${input:data-folder}", to: "${env:DATA_FOLDER}" },
    { form: "servers", from: "${userHome}${/}x", to: "${env:HOME}/x" },
    { form: "servers", from: "${command:pick}", to: "$${command:pick}" },
    { form: "servers", from: "a ${ b", to: "a $${ b" },
  ] as const
) {
  Deno.test(`convert() writes ${from} of ${form} as ${to}`, () => {
    assertEquals(converted({ command: "x", args: [from] }, form).definition.args, [to]);
  });
}

Deno.test("convert() never copies a secret and says which variable to set", () => {
  const secret = "s3cr3t-value-0123456789";
  const { definition, notes } = converted({
    command: "docker",
    args: [
      ...["run", "-e", `API_TOKEN=${secret}`, "--api-key", secret, `--password=${secret}`],
      ...["--header", `Authorization: Bearer ${secret}`, "ghp_0123456789abcdefghij"],
    ],
    env: { OPENAI_API_KEY: secret, DATABASE_URL: `postgres://me:${secret}@db/x`, LOG_LEVEL: "info" },
  });
  assert(!JSON.stringify([definition, notes]).includes(secret));
  assertEquals(definition.env, {
    OPENAI_API_KEY: "${env:OPENAI_API_KEY}",
    DATABASE_URL: "${env:DATABASE_URL}",
    LOG_LEVEL: "info",
  });
  assertEquals(definition.args, [
    ...["run", "-e", "API_TOKEN=${env:API_TOKEN}", "--api-key", "${env:API_KEY}"],
    ...["--password=${env:PASSWORD}", "--header", "Authorization: ${env:AUTHORIZATION}"],
    "${env:ARGUMENT_9}",
  ]);
  assert(notes.includes("set OPENAI_API_KEY in your environment: its value was not copied"));
});

Deno.test("convert() keeps references, and asks for what was asked for there", () => {
  const { definition, notes } = converted(
    { command: "x", env: { API_KEY: "${input:key}", TOKEN: "${env:OTHER}" } },
    "servers",
  );
  assertEquals(definition.env, { API_KEY: "${env:API_KEY}", TOKEN: "${env:OTHER}" });
  assertEquals(notes, ["set API_KEY in your environment: it was asked for at each start"]);
});

for (
  const [name, value, secret] of [
    ["GITHUB_TOKEN", "abc", true],
    ["apiKey", "abc", true],
    ["PGPASSWORD", "abc", true],
    ["WHATEVER", "sk-abcdefghijkl", true],
    ["WHATEVER", "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4MTIz", true],
    ["MAX_TOKENS", "4096", false],
    ["AUTH", "true", false],
    ["KEY_FILE", "/etc/key.pem", false],
    ["KEYBOARD", "qwerty", false],
    ["PATH", "/usr/local/bin:/usr/bin", false],
    ["API_KEY", "${API_KEY}", false],
  ] as const
) {
  Deno.test(`isSecret() says ${secret} of ${name}=${value}`, () =>
    assertEquals(isSecret(name, value), secret));
}

Deno.test("convert() keeps the project's folder as the working folder elsewhere", () => {
  const entry = { name: "docs", form: "servers", value: { command: "./server" } } as const;
  for (
    const [project, folder, cwd] of [
      ["/project", "/project", undefined],
      ["/project", "/other", "/project"],
      [null, "/other", undefined],
    ] as const
  ) {
    const result = convert(entry, { project, folder });
    assert(result.kind === "definition");
    assertEquals(result.definition.cwd, cwd);
  }
});

Deno.test("entriesOf() reads every known form and knows a file without servers", () => {
  const server = { command: "x" };
  for (
    const settings of [
      { mcpServers: { a: server } },
      { servers: { a: server }, inputs: [] },
      { mcp: { servers: { a: server } } },
      { context_servers: { a: server }, theme: "dark" },
    ]
  ) {
    assertEquals(entriesOf(settings)?.map(({ name, value }) => [name, value]), [["a", server]]);
  }
  assertEquals(entriesOf({ theme: "dark" }), null);
  assertEquals(entriesOf([]), null);
});

Deno.test("projectOf() tells a project's settings from the user's own", () => {
  assertEquals(projectOf("/p/.vscode/mcp.json", "/home"), "/p");
  assertEquals(projectOf("/p/.mcp.json", "/home"), "/p");
  assertEquals(projectOf("/home/.cursor/mcp.json", "/home"), null);
  assertEquals(projectOf("/home/x/claude_desktop_config.json", "/home"), null);
});

for (const system of ["linux", "darwin", "windows"] as const) {
  Deno.test(`knownPlaces() has the desktop program's settings on ${system}`, () => {
    const env = {
      get: (name: string) => ["HOME", "USERPROFILE"].includes(name) ? "/home/me" : undefined,
      all: () => ({}),
    };
    const places = knownPlaces({ env, system }, "/p");
    assert(places.some((place) => /Claude.claude_desktop_config\.json$/.test(place)), places.join());
    assertEquals(new Set(places).size, places.length);
  });
}

const added = { docs: { command: "npx", args: ["x"], transport: "stdio" as const } };
for (
  const { what, text } of [
    { what: "an empty list", text: `{"servers": {}}` },
    {
      what: "a list with comments",
      text: `{\n  // why\n  "servers": {\n    "a": { "command": "x" } // last\n  }\n}\n`,
    },
    { what: "a trailing comma", text: `{\n\t"servers": {\n\t\t"a": {"command": "x"},\n\t},\n}\n` },
    { what: "no list", text: `{\n  "$schema": "./s.json" /* end */\n}\n` },
    { what: "another list", text: `{ "mcpServers": { "servers": { "command": "x" } } }` },
    { what: "an empty file", text: `{}` },
    { what: "brackets in comments", text: `{ /* } */ "servers": { // {\n } }` },
    { what: "Windows line ends", text: `{\r\n  "servers": {\r\n    "a": {"command": "x"}\r\n  }\r\n}\r\n` },
  ]
) {
  Deno.test(`addServers() adds to ${what} and keeps all that was there`, () => {
    const edited = addServers(text, added);
    const before = parseDefinitionText(text, "f") as { servers?: Record<string, unknown> };
    assertEquals(parseDefinitionText(edited, "f"), { ...before, servers: { ...before.servers, ...added } });
    const kept = edited.replaceAll(/\s|,/g, "");
    for (const comment of text.match(/\/\/[^\r\n]*|\/\*.*?\*\//g) ?? []) {
      assert(kept.includes(comment.replaceAll(/\s|,/g, "")), edited);
    }
    assertEquals(/[^\r]\n/.test(edited), !text.includes("\r\n"));
  });
}

Deno.test("addServers() indents as the file does", () => {
  const text = `{\n\t"servers": {\n\t\t"a": {}\n\t}\n}\n`;
  const edited = addServers(text, { b: { command: "x" } });
  assertEquals(edited, `{\n\t"servers": {\n\t\t"a": {},\n\t\t"b": {\n\t\t\t"command": "x"\n\t\t}\n\t}\n}\n`);
  assertEquals(addServers(text, {}), text);
  assertEquals(addedLines({ b: { command: "x" } }), `+ "b": {\n+   "command": "x"\n+ }\n`);
  assertEquals(newFile({ b: { command: "x" } }).endsWith("}\n"), true);
});

Deno.test("planImport() takes the first of two, and nothing that the file has already", async () => {
  const source = (file: string, servers: unknown) => ({
    file,
    text: JSON.stringify({ mcpServers: servers }),
  });
  const plan = await planImport([
    source("/p/.mcp.json", { one: { command: "a" }, two: { command: "b" } }),
    source("/home/.cursor/mcp.json", { Two: { command: "c" }, bad: { command: "d", env: { "a=b": "x" } } }),
    { file: "/home/settings.json", text: "{}" },
  ], { file: "/p/foster.json", text: `{"servers":{"one":{"extends":"demo"}}}`, home: "/home" });
  assertEquals(plan.imported.map(({ name, from }) => [name, from]), [["two", "/p/.mcp.json"]]);
  assertEquals(plan.leftOut.map(({ name }) => name), ["one", "Two", "bad"]);
  assertEquals(plan.without, ["/home/settings.json"]);
  assert(plan.shown.startsWith('+ "two"') && !plan.shown.includes("extends"), plan.shown);
});
