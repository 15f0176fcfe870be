import { assert, assertEquals, assertRejects } from "@std/assert";
import { placesOf } from "../../src/clients/client.ts";
import { convert, type ImportEntry } from "../../src/clients/import/convert.ts";
import { type ImportSource, planImport } from "../../src/clients/import/plan.ts";
import { literalSecrets } from "../../src/clients/import/literal_secrets.ts";
import { findSecrets, isSecret } from "../../src/clients/import/secrets.ts";
import { gatherSources } from "../../src/clients/import/sources.ts";
import { addedLines, addMembers } from "../../src/clients/json_text.ts";
import { clientOf, CLIENTS } from "../../src/clients/known/mod.ts";
import { writeDefinitionFile } from "../../src/clients/import/write.ts";
import { guessEntries, parseSettings, projectOf, readSettings } from "../../src/clients/settings.ts";
import { DefinitionError } from "../../src/definitions/definition_error.ts";
import { parseDefinitionText } from "../../src/definitions/jsonc.ts";
import { define, inFolder, machine } from "../definitions/machine.ts";

type Forms = ImportEntry["references"];
const NOWHERE = { project: null, folder: "/work" };
const SHELL: Forms = ["shell", "prefixed", "folders"];
const EDITOR: Forms = ["prefixed", "asked", "folders"];

function convertDocs(
  value: Record<string, unknown>,
  references: Forms = SHELL,
  places: { project: string | null; folder: string } = NOWHERE,
) {
  return convert({ name: "docs", references, value }, { ...places, variables: new Map() });
}

function converted(value: Record<string, unknown>, references: Forms = SHELL) {
  const result = convertDocs(value, references);
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
    [],
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
      what: "a server that its editor keeps in a sandbox",
      value: { command: "x", sandboxEnabled: true },
      reason: /sandbox/,
    },
    {
      what: "a server that is switched off",
      value: { command: "x", disabled: true },
      reason: /switched off/,
    },
  ]
) {
  Deno.test(`convert() leaves out ${what} and says why`, () => {
    const result = convertDocs(value);
    assert(result.kind === "left_out" && reason.test(result.reason), JSON.stringify(result));
  });
}

for (
  const { form, from, to } of [
    { form: SHELL, from: "${HOME}/x", to: "${env:HOME}/x" },
    { form: SHELL, from: "${ROOT:-/srv}", to: "${env:ROOT:-/srv}" },
    { form: SHELL, from: "${workspaceFolder}/a", to: "${configDir}/a" },
    { form: EDITOR, from: "${env:HOME}/x", to: "${env:HOME}/x" },
    { form: EDITOR, from: "${input:data-folder}", to: "${env:DATA_FOLDER}" },
    { form: EDITOR, from: "${userHome}${/}x", to: "${env:HOME}/x" },
    { form: EDITOR, from: "${command:pick}", to: "$${command:pick}" },
    { form: EDITOR, from: "a ${ b", to: "a $${ b" },
    { form: ["braces"], from: "{env:HOME}/x {file:~/key}", to: "${env:HOME}/x ${cmd:cat ~/key}" },
    { form: ["secrets"], from: "${{ secrets.MY_KEY }}", to: "${env:MY_KEY}" },
    { form: ["dollar", "percent"], from: "$A %B% $5", to: "${env:A} ${env:B} $5" },
    { form: [], from: "${HOME} $A {env:X}", to: "$${HOME} $A {env:X}" },
  ] as { form: Forms; from: string; to: string }[]
) {
  Deno.test(`convert() writes ${from} of ${form.join(", ") || "no form"} as ${to}`, () => {
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
    EDITOR,
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
    assertEquals(isSecret(name, value, /\$\{[^{}]*\}/g), secret));
}

Deno.test("convert() keeps the project's folder as the working folder elsewhere", () => {
  for (
    const [project, folder, cwd] of [
      ["/project", "/project", undefined],
      ["/project", "/other", "/project"],
      [null, "/other", undefined],
    ] as const
  ) {
    const result = convertDocs({ command: "./server" }, EDITOR, { project, folder });
    assert(result.kind === "definition");
    assertEquals(result.definition.cwd, cwd);
  }
});

Deno.test("convert() writes the workspace folder as the project's own where the definitions stand elsewhere", () => {
  for (const [folder, written] of [["/project", "${configDir}/x"], ["/other", "/project/x"]] as const) {
    const result = convertDocs({ command: "x", args: ["${workspaceFolder}/x"] }, EDITOR, {
      project: "/project",
      folder,
    });
    assertEquals(result.kind === "definition" ? result.definition.args : null, [written]);
  }
});

Deno.test("guessEntries() reads every known form and knows a file without servers", () => {
  const server = { command: "x" };
  for (
    const settings of [
      { mcpServers: { a: server } },
      { mcpServers: [{ name: "a", ...server }] },
      { servers: { a: server }, inputs: [] },
      { mcp: { servers: { a: server } } },
      { context_servers: { a: server }, theme: "dark" },
      { mcp_servers: { a: server } },
    ]
  ) {
    const [guessed] = guessEntries(settings);
    assertEquals(guessed?.entries.map(({ name, value }) => [name, value["command"]]), [["a", "x"]]);
  }
  assertEquals(guessEntries({ theme: "dark" }), []);
  assertEquals(guessEntries([]), []);
});

Deno.test("projectOf() tells a project's settings from the user's own", () => {
  assertEquals(projectOf("/p/.vscode/mcp.json", "/home"), "/p");
  assertEquals(projectOf("/p/.mcp.json", "/home"), "/p");
  assertEquals(projectOf("/home/.cursor/mcp.json", "/home"), null);
  assertEquals(projectOf("/home/x/claude_desktop_config.json", "/home"), null);
});

for (const system of ["linux", "darwin", "windows"] as const) {
  Deno.test(`every client has settings of its own on ${system}`, async () => {
    const env = { HOME: "/home/me", USERPROFILE: "/home/me" };
    const places = await placesOf(machine(env, system), "/p");
    assert(places !== null);
    for (const client of CLIENTS) {
      const files = await client.files(places);
      assert(files.some(({ scope }) => scope === "user"), client.id);
      const keys = files.map(({ path, at }) => JSON.stringify([path, at]));
      assertEquals(new Set(keys).size, keys.length, client.id);
    }
    const desktop = await clientOf("claude-desktop")?.files(places) ?? [];
    assert(/Claude.claude_desktop_config\.json$/.test(desktop[0]?.path ?? ""));
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
  Deno.test(`addMembers() adds to ${what} and keeps all that was there`, () => {
    const edited = addMembers(text, ["servers"], added);
    const before = parseDefinitionText(text, "f") as { servers?: Record<string, unknown> };
    assertEquals(parseDefinitionText(edited, "f"), { ...before, servers: { ...before.servers, ...added } });
    const kept = edited.replaceAll(/\s|,/g, "");
    for (const comment of text.match(/\/\/[^\r\n]*|\/\*.*?\*\//g) ?? []) {
      assert(kept.includes(comment.replaceAll(/\s|,/g, "")), edited);
    }
    const isOneLine = !text.includes("\n");
    assert(text.includes("\r\n") ? !/[^\r]\n/.test(edited) : isOneLine || /[^\r]\n/.test(edited), edited);
  });
}

Deno.test("addMembers() indents as the file does", () => {
  const text = `{\n\t"servers": {\n\t\t"a": {}\n\t}\n}\n`;
  const edited = addMembers(text, ["servers"], { b: { command: "x" } });
  assertEquals(edited, `{\n\t"servers": {\n\t\t"a": {},\n\t\t"b": {\n\t\t\t"command": "x"\n\t\t}\n\t}\n}\n`);
  assertEquals(addMembers(text, ["servers"], {}), text);
  assertEquals(addedLines({ b: { command: "x" } }), `+ "b": {\n+   "command": "x"\n+ }\n`);
});

function source(
  file: string,
  servers: Record<string, Record<string, unknown>>,
  client: ImportSource["client"] = null,
) {
  const entries = Object.entries(servers).map(([name, value]) => ({ name, value }));
  return { file, at: ["mcpServers"], client, project: null, references: SHELL, entries };
}

Deno.test("planImport() keeps two of one name apart, and takes nothing that the file has already", () => {
  const plan = planImport([
    source("/p/.mcp.json", { one: { command: "a" }, two: { command: "b" } }),
    source(
      "/home/.cursor/mcp.json",
      { Two: { command: "c" }, bad: { command: "d", env: { "a=b": "x" } } },
      "cursor",
    ),
    source("/home/.x.json", { two: { command: "d" }, TWO: { command: "e" } }, "cursor"),
  ], { file: "/p/foster.json", text: `{"servers":{"one":{"extends":"demo"}}}` });
  assertEquals(
    plan.imported.map(({ name, from }) => [name.replace(/-[0-9a-f]{6}$/, "-#"), from]),
    [
      ["two", "/p/.mcp.json"],
      ["Two-cursor", "/home/.cursor/mcp.json"],
      ["two-#", "/home/.x.json"],
      ["TWO-#", "/home/.x.json"],
    ],
  );
  assertEquals(plan.leftOut.map(({ name }) => name), ["one", "bad"]);
  assert(plan.shown.startsWith('+ "two"') && !plan.shown.includes("extends"), plan.shown);
});

Deno.test("planImport() makes one server of what several clients have alike", () => {
  const plan = planImport([
    source("/a.json", { docs: { command: "npx", args: ["-y", "x"] } }, "cursor"),
    source("/b.json", { documents: { type: "stdio", command: "npx", args: ["-y", "x"], env: {} } }, "zed"),
  ], { file: "/p/foster.json", text: null });
  assertEquals(plan.imported.map(({ name }) => name), ["docs"]);
  assertEquals(plan.leftOut.map(({ reason }) => reason), ['it is the same as "docs" (of /a.json)']);
  assertEquals(plan.replaced.map(({ entry, server }) => [entry, server]), [["docs", "docs"], [
    "documents",
    "docs",
  ]]);
});

Deno.test("planImport() keeps names without ASCII letters apart", () => {
  const plan = planImport([
    source("/a.json", { "服务器": { command: "a" }, "文档": { command: "b" }, "é b": { command: "c" } }),
  ], {
    file: "/p/foster.json",
    text: null,
  });
  assertEquals(plan.leftOut, []);
  const names = plan.imported.map(({ name }) => name);
  assertEquals(new Set(names).size, 3);
  assert(names.every((name) => /^[A-Za-z0-9._ -]+$/.test(name)), names.join());
});

Deno.test("planImport() gives two servers' secrets of one name two variables", () => {
  const plan = planImport([source("/a.json", {
    a: { command: "x", env: { API_KEY: "one-secret" } },
    b: { command: "y", env: { API_KEY: "another-secret" } },
    c: { command: "z", env: { API_KEY: "one-secret" } },
  })], { file: "/p/foster.json", text: null });
  assertEquals(plan.imported.map(({ definition }) => definition.env?.["API_KEY"]), [
    "${env:API_KEY}",
    "${env:B_API_KEY}",
    "${env:API_KEY}",
  ]);
});

Deno.test("convert() gives a container a name and a command that stops it", () => {
  const { definition } = converted({ command: "docker", args: ["run", "-i", "-e", "LEVEL=1", "mcp/x"] });
  const container = "foster-docs-${sessionId}";
  assertEquals(definition.args, ["run", "--rm", "--name", container, "-i", "-e", "LEVEL=1", "mcp/x"]);
  assertEquals(definition.stop, { command: ["docker", "stop", container] });
  const own =
    converted({ command: "docker", args: ["run", "--rm", "-i", "--name", "mine", "mcp/x"] }).definition;
  assertEquals(own.args, ["run", "--rm", "-i", "--name", "mine", "mcp/x"]);
  assertEquals(own.stop, { command: ["docker", "stop", "mine"] });
  assertEquals(converted({ command: "docker", args: ["compose", "up"] }).definition.stop, undefined);
});

Deno.test("convert() reads every client's spelling of an entry", () => {
  const same = { command: "npx", args: ["-y", "x"], env: { LEVEL: "2" }, transport: "stdio" as const };
  for (
    const value of [
      { command: "npx", args: ["-y", "x"], env: { LEVEL: 2 } },
      { command: "npx -y x", env: { LEVEL: "2" } },
      { type: "local", command: ["npx", "-y", "x"], environment: { LEVEL: "2" }, enabled: true },
      { transport: { type: "stdio", command: "npx", args: ["-y", "x"], env: { LEVEL: "2" } } },
      {
        type: "stdio",
        name: "n",
        cmd: "npx",
        args: ["-y", "x"],
        envs: { LEVEL: "2" },
        env_keys: [],
        bundled: null,
      },
      { source: "custom", command: { path: "npx", args: ["-y", "x"], env: { LEVEL: "2" } } },
    ]
  ) assertEquals(converted(value).definition, same, JSON.stringify(value));
  const headers = converted({
    command: "x",
    url: "http://localhost:4001/mcp",
    http_headers: { "X-Level": "1" },
    bearer_token_env_var: "MY_TOKEN",
    env_http_headers: { "X-Key": "MY_KEY" },
  }, []).definition.headers;
  assertEquals(headers, {
    "X-Level": "1",
    Authorization: "Bearer ${env:MY_TOKEN}",
    "X-Key": "${env:MY_KEY}",
  });
});

const SECRETS: [name: string | null, text: string, secrets: string[]][] = [
  [null, "https://mcp.example.com/mcp?exaApiKey=exa-0000&model=gpt-4o", ["exa-0000"]],
  [null, "https://me:hunter2@host.example.com/x", ["hunter2"]],
  [null, "mongodb+srv://me:p%40ss@cluster0.abcde.mongodb.net/?retryWrites=true", ["p%40ss"]],
  [null, "https://hooks.slack.com/services/T0/B0/abc", ["services/T0/B0/abc"]],
  [null, "https://mcp.example.com/mcp?profile=p", []],
  [null, "Server=localhost;User Id=sa;Password=hunter2;", ["hunter2"]],
  [null, "host=localhost user=me password=hunter2 dbname=x", ["hunter2"]],
  [null, "--header=Authorization: Bearer abc", ["Bearer abc"]],
  [null, "--env=API_KEY=abc", ["abc"]],
  [null, "API_KEY=abc server --token xyz --port 3", ["abc", "xyz"]],
  ["config", '{"auth": {"token": "abc"}, "level": "info"}', ["abc"]],
  ["oauth2Bearer", "abc", ["abc"]],
  ["u", "admin:hunter2", ["hunter2"]],
  ["u", "1000:1000", []],
  ["PASSWORD", "123456", ["123456"]],
  ["MAX_TOKENS", "4096", []],
  ["AUTH_URL", "https://login.example.com/oauth", []],
  ["AUTH_TYPE", "basic", []],
  ["TOKEN", "/run/secrets/token", []],
  ["GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json", []],
  ["y", "@modelcontextprotocol/server-everything@2026.8.31", []],
  [null, "mcp-server-kubernetes-readonly-v2", []],
  ["model", "gpt-4o-mini-realtime-preview-2024-12-17", []],
  [null, "ghcr.io/x/y@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", []],
  [null, "git+https://github.com/x/y#0123456789abcdef0123456789abcdef01234567", []],
  [null, "sk-learn-mcp-server", []],
  [null, "C:\\Users\\me\\server.js", []],
];
for (const [name, text, secrets] of SECRETS) {
  Deno.test(`findSecrets() finds ${secrets.length === 0 ? "nothing" : secrets.join(" and ")} in ${name ?? "-"} ${text}`, () => {
    const { parts } = findSecrets(text, { name, references: null });
    assertEquals(parts.map(({ start, end }) => text.slice(start, end)), secrets);
  });
}

Deno.test("findSecrets() asks to look at what may be one", () => {
  const { parts, isDoubtful } = findSecrets("123e4567-e89b-12d3-a456-426614174000", {
    name: "id",
    references: null,
  });
  assertEquals([parts, isDoubtful], [[], true]);
});

Deno.test("gatherSources() reads every client's settings of this project and of the user, once each", async () => {
  const server = (name: string) => ({ [name]: { command: name } });
  await inFolder({
    "p/.git/x": "",
    "p/sub/x": "",
    "p/.mcp.json": JSON.stringify({ mcpServers: server("shared") }),
    "home/.cursor/mcp.json": JSON.stringify({ mcpServers: server("cursor") }),
    "home/.config/zed/settings.json": `{ // mine\n "context_servers": ${JSON.stringify(server("zed"))}, }`,
    "home/.codex/config.toml": '[mcp_servers.codex]\ncommand = "codex"\n',
    "home/.config/goose/config.yaml":
      "extensions:\n  goose:\n    type: stdio\n    cmd: goose\n    args: []\n",
    "home/.continue/mcpServers/a.yaml": "name: x\nmcpServers:\n  - name: continue\n    command: continue\n",
    "home/.config/opencode/opencode.json": JSON.stringify({
      mcp: { one: { type: "local", command: ["one"] }, servers: server("two") },
    }),
    "home/.gemini/settings.json": "{ broken",
    "home/.codeium/windsurf/mcp_config.json": "{}",
  }, async (folder) => {
    const local = {
      projects: { [`${folder}/p`]: { mcpServers: server("local") } },
      mcpServers: server("claude"),
    };
    await Deno.writeTextFile(`${folder}/home/.claude.json`, JSON.stringify(local));
    const host = machine({ HOME: `${folder}/home` });
    const places = await placesOf(host, `${folder}/p/sub`);
    assert(places !== null);
    const { sources, without, unreadable } = await gatherSources(host, places);
    const names = sources.flatMap(({ client, entries }) => entries.map(({ name }) => `${client}: ${name}`));
    assertEquals(names, [
      "claude-code: shared",
      "claude-code: local",
      "claude-code: claude",
      "cursor: cursor",
      "zed: zed",
      "codex: codex",
      "opencode: two",
      "opencode: one",
      "continue: continue",
      "goose: goose",
    ]);
    assertEquals(without, [`${folder}/home/.codeium/windsurf/mcp_config.json`]);
    assert(unreadable.length === 1 && unreadable[0]?.includes(".gemini/settings.json"));
  });
});

Deno.test("literalSecrets() names the keys under which a secret stands in clear text", () => {
  const definition = define({
    args: ["--token", "abc", "--token", "${env:TOKEN}", ["--level", "2"], "https://x/?api_key=abc"],
    env: { API_KEY: "abc", OTHER_KEY: "${cmd:pass show x}", LEVEL: "2" },
    headers: { Authorization: "Bearer ${env:KEY}", "X-Api-Key": "abc" },
  });
  assertEquals(literalSecrets(definition), ["env.API_KEY", "headers.X-Api-Key", "args.1", "args.6"]);
});

Deno.test("writeDefinitionFile() keeps the byte order mark, and writes over nothing that came meanwhile", async () => {
  await inFolder({ "foster.jsonc": "\uFEFF{}\n" }, async (folder) => {
    const host = machine();
    const file = `${folder}/foster.jsonc`;
    const before = await readSettings(host, file);
    await writeDefinitionFile(host, file, { text: '{"servers": {}}\n', before });
    assertEquals(await Deno.readTextFile(file), '\uFEFF{"servers": {}}\n');
    assertEquals(await Deno.readTextFile(`${file}.bak`), "\uFEFF{}\n");
    for (const [text, stale] of [["{}", before], ["{}", null]] as const) {
      await assertRejects(() => writeDefinitionFile(host, file, { text, before: stale }), DefinitionError);
    }
    assertEquals(await Deno.readTextFile(file), '\uFEFF{"servers": {}}\n');
    await Deno.writeFile(file, new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]));
    const wide = await readSettings(host, file);
    await assertRejects(
      () => writeDefinitionFile(host, file, { text: "{}", before: wide }),
      DefinitionError,
      "UTF-16",
    );
  });
});

Deno.test("parseSettings() shows nothing of a broken file that may be a secret", async () => {
  for (
    const [syntax, text] of [
      ["jsonc", '{"TOKEN" "planted-secret-1"}'],
      ["jsonc", '{"TOKEN": planted-secret-2}'],
      ["toml", "TOKEN = planted-secret-3"],
      ["toml", 'TOKEN = "planted-secret-4'],
      ["yaml", 'a: "planted-secret-5'],
      ["yaml", "a: *planted-secret-6"],
      ["yaml", "planted-secret-7: 1\nplanted-secret-7: 2"],
      ["yaml", "a: {planted-secret-8: [}"],
    ] as const
  ) {
    const error = await assertRejects(() => parseSettings(text, { path: "f", syntax }), DefinitionError);
    assert(!/planted-secret-[1-68]/.test(error.message), error.message);
  }
});
