import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { projectKey } from "../../src/definitions/hash.ts";
import { DefinitionError } from "../../src/definitions/definition_error.ts";
import { type Definitions, loadDefinitions } from "../../src/definitions/load.ts";
import { inFolder, machine } from "./machine.ts";

const ONE = '{"servers": {"one": {"command": "x", "port": 4001}}}';

async function loadText(text: string, env: Record<string, string> = {}): Promise<Definitions> {
  let loaded: Definitions | undefined;
  await inFolder({ "foster.json": text }, async (folder) => {
    loaded = await loadDefinitions(machine(env), { configFlag: null, callerFolder: folder });
  });
  assert(loaded !== undefined);
  return loaded;
}

Deno.test("loadDefinitions() takes the flag, else FOSTER_CONFIG, else the nearest upward, else the user's", async () => {
  await inFolder({
    "flag.jsonc": ONE,
    "env.json": ONE,
    "p/foster.json": ONE,
    "p/q/r/x": "",
    "p/c/foster.jsonc": ONE,
    "both/foster.json": ONE,
    "both/foster.jsonc": ONE,
    "elsewhere/x": "",
    "xdg/foster/foster.jsonc": ONE,
    "home/.config/foster/foster.json": ONE,
    "home/.config/foster/work.json": ONE,
  }, async (folder) => {
    const HOME = `${folder}/home`;
    const XDG_CONFIG_HOME = `${folder}/xdg`;
    const FOSTER_CONFIG = "../env.json";
    const table: [string | null, Record<string, string>, string, string | null, "project" | "user" | null][] =
      [
        ["../flag.jsonc", { FOSTER_CONFIG }, "p", "flag.jsonc", "project"],
        [null, { FOSTER_CONFIG }, "p", "env.json", "project"],
        [null, { FOSTER_CONFIG: "", HOME }, "p/q/r", "p/foster.json", "project"],
        [null, { HOME }, "p/c", "p/c/foster.jsonc", "project"],
        [null, {}, "both", "both/foster.json", "project"],
        [null, { HOME, XDG_CONFIG_HOME }, "elsewhere", "xdg/foster/foster.jsonc", "user"],
        [null, { HOME }, "elsewhere", "home/.config/foster/foster.json", "user"],
        [null, { HOME }, "home/.config/foster", "home/.config/foster/foster.json", "user"],
        ["home/.config/foster/foster.json", { HOME }, ".", "home/.config/foster/foster.json", "user"],
        ["work.json", { HOME }, "home/.config/foster", "home/.config/foster/work.json", "project"],
        [null, {}, "elsewhere", null, null],
      ];
    for (const [configFlag, env, caller, file, kind] of table) {
      const loaded = await loadDefinitions(machine(env), { configFlag, callerFolder: join(folder, caller) });
      assertEquals(
        [loaded.file, loaded.kind],
        [file && `${folder}/${file}`, kind],
        `${configFlag} ${caller}`,
      );
    }
  });
});

Deno.test("loadDefinitions() refuses a named file that is missing", async () => {
  await inFolder({}, async (folder) => {
    const flagged = { configFlag: "no.json", callerFolder: folder };
    const error = await assertRejects(() => loadDefinitions(machine(), flagged), DefinitionError);
    assertEquals(error.message, `${folder}/no.json: no such file, named by --config`);
    const env = machine({ FOSTER_CONFIG: `${folder}/no.json` });
    await assertRejects(
      () => loadDefinitions(env, { configFlag: null, callerFolder: folder }),
      DefinitionError,
      "named by FOSTER_CONFIG",
    );
  });
});

Deno.test("loadDefinitions() refuses what it finds but can't read", async () => {
  await inFolder({ "foster.json/x": "" }, async (folder) => {
    const error = await assertRejects(
      () => loadDefinitions(machine(), { configFlag: null, callerFolder: folder }),
      DefinitionError,
      "can't be read",
    );
    assertEquals(error.file, `${folder}/foster.json`);
  });
});

Deno.test("loadDefinitions() gives keys by project, and plain ones in the user's file and for presets", async () => {
  await inFolder({ "p/foster.json": ONE, "home/.config/foster/foster.json": ONE }, async (folder) => {
    const host = machine({ HOME: `${folder}/home` });
    const project = await loadDefinitions(host, { configFlag: null, callerFolder: `${folder}/p` });
    const file = `${folder}/p/foster.json`;
    assertEquals(project.find("one")?.key, projectKey("one", file));
    assertEquals(project.find("one")?.source, { kind: "file", file, project: true });
    assertEquals(project.find("one")?.baseFolder, `${folder}/p`);
    assertEquals(project.find("demo")?.key, "demo");
    assertEquals(project.find("demo")?.baseFolder, `${folder}/p`);
    assertEquals(project.find("ONE"), null);
    assertEquals(project.names(), ["one", "demo", "everything", "godot-ai"]);
    const user = await loadDefinitions(host, { configFlag: null, callerFolder: folder });
    assertEquals(user.find("one")?.key, "one");
  });
});

Deno.test("loadDefinitions() knows one file by its real path", async () => {
  await inFolder({ "real/foster.json": ONE, "linked/x": "" }, async (folder) => {
    await Deno.symlink(`${folder}/real/foster.json`, `${folder}/linked/foster.json`);
    const keys = await Promise.all(["real", "linked"].map(async (name) => {
      const loaded = await loadDefinitions(machine(), {
        configFlag: null,
        callerFolder: `${folder}/${name}`,
      });
      return loaded.find("one")?.key;
    }));
    assertEquals(keys[0], keys[1]);
  });
});

Deno.test("loadDefinitions() fills in every default", async () => {
  const { written, source, baseFolder, key, ...rest } = (await loadText(ONE)).inFile[0] ?? {};
  assertEquals(written, { command: "x", port: 4001 });
  assert(source !== undefined && baseFolder !== undefined && key !== undefined);
  assertEquals(rest as Record<string, unknown>, {
    name: "one",
    launch: [{ tier: "command", command: "x", args: [] }],
    args: [],
    cwd: ".",
    env: {},
    host: "127.0.0.1",
    port: 4001,
    wsPort: null,
    path: "/mcp",
    transport: "streamable-http",
    sharing: "auto",
    idleMs: null,
    headers: {},
    envFile: null,
    stdin: "null",
    version: null,
    identity: { name: null, statusPath: null },
    brand: [],
    brandFlags: [],
    requiredTools: [],
    labels: [],
    ready: { check: "mcp", timeoutMs: 30_000, probeTimeoutMs: 5_000 },
    restart: {
      max: 20,
      misses: 3,
      intervalMs: 2_000,
      backoffMs: 250,
      backoffMaxMs: 30_000,
      stableAfterMs: 60_000,
    },
    call: { timeoutMs: 3_600_000 },
    stop: { graceMs: 5_000, command: null },
    refreshArgs: null,
    modeEnv: null,
    ownerEnv: null,
    telemetry: null,
    devSource: null,
    session: null,
    link: null,
  });
});

Deno.test("loadDefinitions() lets the environment override waiting times, presets' too", async () => {
  const env = { FOSTER_READY_TIMEOUT_MS: "1500", FOSTER_PROBE_TIMEOUT_MS: "no", FOSTER_INTERVAL_MS: "5" };
  const loaded = await loadText(
    '{"servers": {"a": {"command": "x", "port": 4001, "ready": {"probeTimeout": "7s"}}}}',
    env,
  );
  assertEquals(loaded.find("a")?.ready, { check: "mcp", timeoutMs: 1_500, probeTimeoutMs: 7_000 });
  assertEquals(loaded.find("a")?.restart.intervalMs, 100);
  assertEquals(loaded.find("demo")?.ready.timeoutMs, 1_500);
});

Deno.test("loadDefinitions() reads servers and mcpServers as other programs write them", async () => {
  const loaded = await loadText(`{
    "$schema": "./foster.schema.json",
    "servers": {
      "http": {"command": "a", "port": "auto"},
      "pipe": {"command": "b", "transport": "stdio"},
      "plain": {"command": "b"}
    },
    "mcpServers": {
      "wild": {"command": "npx", "args": ["-y", "pkg"], "env": {"KEY": "v"}},
      "ported": {"command": "c", "port": 4002},
      "sse": {"command": "d", "port": 4003, "transport": "sse"},
      "like-demo": {"extends": "demo"}
    }
  }`);
  assertEquals(
    loaded.inFile.map(({ name, transport, port }) => [name, transport, port]),
    [
      ["http", "streamable-http", "auto"],
      ["pipe", "stdio", "auto"],
      ["plain", "stdio", "auto"],
      ["wild", "stdio", "auto"],
      ["ported", "streamable-http", 4002],
      ["sse", "sse", 4003],
      ["like-demo", "streamable-http", "auto"],
    ],
  );
  assertEquals(loaded.find("wild")?.env, { KEY: "v" });
});

Deno.test("loadDefinitions() builds on presets: objects merged, lists and single values replaced", async () => {
  const loaded = await loadText(`{"servers": {
    "godot": {"extends": "godot-ai", "port": 8100, "wsPort": null, "env": {"A": "1"},
      "telemetry": {"disable": true}, "brand": ["mine"]},
    "own": {"extends": "godot-ai", "command": "/opt/godot-ai", "port": 8200, "wsPort": "auto"},
    "demo": {"extends": "demo", "labels": ["mine"]}
  }}`);
  const godot = loaded.find("godot");
  assertEquals([godot?.port, godot?.wsPort, godot?.brand], [8100, null, ["mine"]]);
  assertEquals(godot?.telemetry, { disable: true, env: ["GODOT_AI_DISABLE_TELEMETRY", "DISABLE_TELEMETRY"] });
  assertEquals(godot?.launch.map(({ tier }) => tier), ["dev_venv", "dev_venv", "uvx", "system"]);
  assertEquals(godot?.written.extends, undefined);
  const own = loaded.find("own");
  assertEquals(own?.launch, [{ tier: "command", command: "/opt/godot-ai", args: [] }]);
  assertEquals(own?.written.launch, undefined);
  assertEquals(own?.args, loaded.find("godot-ai")?.args);
  assertEquals(loaded.find("demo")?.labels, ["mine"]);
  assertEquals(loaded.find("demo")?.source.kind, "file");
  assertEquals(loaded.names(), ["godot", "own", "demo", "everything", "godot-ai"]);
});

Deno.test("loadDefinitions() reads how clients share a server, how it idles, and what it is given", async () => {
  const loaded = await loadText(`{"servers": {
    "a": {"command": "x", "sharing": "session", "idle": "5m", "envFile": "a.env", "stdin": "open",
      "call": {"timeout": "2m"}, "stop": {"command": "docker stop 'my docs'", "grace": "1s"}},
    "b": {${PORT}, "idle": "never", "headers": {"Authorization": "Bearer \${env:KEY}"},
      "stop": {"command": ["docker", "stop", "\${port}"]}},
    "sse": {"command": "x", "port": 4002, "transport": "sse"},
    "sse-at": {"command": "x", "port": 4003, "transport": "sse", "path": "/mcp"}
  }}`);
  const [a, b, sse, sseAt] = loaded.inFile;
  assertEquals([a?.sharing, a?.idleMs, a?.envFile, a?.stdin], ["session", 300_000, "a.env", "open"]);
  assertEquals(a?.call, { timeoutMs: 120_000 });
  assertEquals(a?.stop, { graceMs: 1_000, command: ["docker", "stop", "my docs"] });
  assertEquals([b?.idleMs, b?.headers], ["never", { Authorization: "Bearer ${env:KEY}" }]);
  assertEquals(b?.stop.command, ["docker", "stop", "${port}"]);
  assertEquals([sse?.path, sseAt?.path], ["/sse", "/mcp"]);
});

Deno.test("loadDefinitions() takes an empty file of servers", async () => {
  for (const text of ["{}", '{"servers": {}}', "{} // none"]) assertEquals((await loadText(text)).inFile, []);
});

const PORT = '"command": "x", "port": 4001';

Deno.test("loadDefinitions() names file, server and key of what can't be used", async () => {
  const table: [text: string, server: string | null, key: string | null, message: string, hint?: string][] = [
    [`{"servers": {"a": {${PORT}, "prot": 1}}}`, "a", "prot", "is not a known key", 'did you mean "port"?'],
    [
      `{"servers": {"a": {${PORT}, "ready": {"timout": "1s"}}}}`,
      "a",
      "ready.timout",
      "known key",
      '"timeout"?',
    ],
    [
      `{"servers": {"a": {${PORT}, "link": {"commandTimeouts": {"render": "soon"}}}}}`,
      "a",
      "link.commandTimeouts.render",
      "must be a duration",
    ],
    [
      `{"servers": {"a": {${PORT}, "link": {"clientNme": "x"}}}}`,
      "a",
      "link.clientNme",
      "known key",
      '"clientName"?',
    ],
    [
      '{"servers": {"a": {"port": 4001, "launch": [{"tier": "t", "comand": "x"}]}}}',
      "a",
      "launch.0.comand",
      "known",
      "command",
    ],
    [`{"servers": {"a": {${PORT}, "type": "stdio"}}}`, "a", "type", "is not a known key", '"transport"'],
    ['{"mcpServers": {"a": {"url": "http://x"}}}', "a", "url", "is not a known key", "local"],
    ['{"server": {}}', null, "server", "is not a known key", 'did you mean "servers"?'],
    ["[]", null, null, "must be an object"],
    ['{"servers": []}', null, "servers", "must be an object of servers"],
    ['{"servers": {"a": 1}}', "a", null, "must be an object in braces, not 1"],
    ['{"servers": {"a/b": {}}}', "a/b", "name", "must be 1 to 64"],
    ['{"servers": {"": {}}}', "", "name", "must be 1 to 64"],
    [`{"servers": {"${"x".repeat(65)}": {}}}`, "x".repeat(65), "name", "must be 1 to 64"],
    ['{"servers": {"a": {"command": "x", "transport": "sse"}}}', "a", "port", "is missing", '"auto"'],
    [`{"servers": {"a": {${PORT}, "sharing": "all"}}}`, "a", "sharing", 'not "all"'],
    [`{"servers": {"a": {${PORT}, "idle": "5"}}}`, "a", "idle", 'such as "5m", "never", or null, not "5"'],
    [`{"servers": {"a": {${PORT}, "idle": true}}}`, "a", "idle", '"never"'],
    [`{"servers": {"a": {${PORT}, "headers": {"a b": "x"}}}}`, "a", "headers.a b", "name of an HTTP header"],
    [`{"servers": {"a": {${PORT}, "headers": {"Host": "x"}}}}`, "a", "headers.Host", "foster sets by itself"],
    [
      `{"servers": {"a": {${PORT}, "headers": {"X": "a\\r\\nB: c"}}}}`,
      "a",
      "headers.X",
      "must have no control character",
    ],
    [`{"servers": {"a": {${PORT}, "headers": {"X": "\${PORT}"}}}}`, "a", "headers.X", "unknown variable"],
    [`{"servers": {"a": {${PORT}, "headers": []}}}`, "a", "headers", "must be an object of texts"],
    [`{"servers": {"a": {${PORT}, "envFile": ""}}}`, "a", "envFile", "must not be empty"],
    [`{"servers": {"a": {${PORT}, "envFile": "\${x}"}}}`, "a", "envFile", "unknown variable"],
    [`{"servers": {"a": {${PORT}, "stdin": "pipe"}}}`, "a", "stdin", 'must be "null" or "open", not "pipe"'],
    [`{"servers": {"a": {${PORT}, "call": {"timeout": "0s"}}}}`, "a", "call.timeout", "at least 1ms"],
    [
      `{"servers": {"a": {${PORT}, "call": {"timout": "1s"}}}}`,
      "a",
      "call.timout",
      "known key",
      '"timeout"?',
    ],
    [`{"servers": {"a": {${PORT}, "stop": {"command": []}}}}`, "a", "stop.command", "at least one word"],
    [`{"servers": {"a": {${PORT}, "stop": {"command": "x 'y"}}}}`, "a", "stop.command", "quote without"],
    [
      `{"servers": {"a": {${PORT}, "stop": {"command": ["x", "\${y}"]}}}}`,
      "a",
      "stop.command.1",
      "unknown variable",
    ],
    [`{"servers": {"a": {${PORT}, "path": "//evil/x"}}}`, "a", "path", "only one"],
    [`{"servers": {"a": {${PORT}, "path": "/\\\\evil"}}}`, "a", "path", "backslash"],
    [
      `{"servers": {"a": {${PORT}, "identity": {"statusPath": "//evil/x"}}}}`,
      "a",
      "identity.statusPath",
      "one",
    ],
    ['{"servers": {"a": {"port": 4001}}}', "a", "command", "is missing", '"command"'],
    ['{"servers": {"a": {"command": " ", "port": 4001}}}', "a", "command", "must not be empty"],
    [
      `{"servers": {"a": {${PORT}, "launch": [{"tier": "t", "command": "x"}]}}}`,
      "a",
      "launch",
      'beside "command"',
    ],
    ['{"servers": {"a": {"port": 4001, "launch": []}}}', "a", "launch", "at least one"],
    [
      '{"servers": {"a": {"command": "x", "port": 80}}}',
      "a",
      "port",
      'from 1024 to 65535, or "auto", not 80',
    ],
    ['{"servers": {"a": {"command": "x", "port": 65536}}}', "a", "port", "not 65536"],
    ['{"servers": {"a": {"command": "x", "port": 4001.5}}}', "a", "port", "not 4001.5"],
    ['{"servers": {"a": {"command": "x", "port": "4001"}}}', "a", "port", 'not "4001"'],
    ['{"servers": {"a": {"command": "x", "port": null}}}', "a", "port", "must be a port"],
    [`{"servers": {"a": {${PORT}, "wsPort": 22}}}`, "a", "wsPort", "not 22"],
    [
      `{"servers": {"a": {${PORT}, "wsPort": 4001}}}`,
      "a",
      "wsPort",
      'is 4001, which is already the port of server "a"',
    ],
    [
      `{"servers": {"a": {${PORT}, "wsPort": 4002}, "b": {"command": "x", "port": 4002}}}`,
      "b",
      "port",
      "wsPort of server",
    ],
    [`{"servers": {"a": {${PORT}}}, "mcpServers": {"b": {${PORT}}}}`, "b", "port", 'port of server "a"'],
    [
      `{"servers": {"a": {${PORT}}}, "mcpServers": {"a": {"command": "x"}}}`,
      "a",
      null,
      "both servers and mcpServers",
    ],
    [
      `{"servers": {"a b": {${PORT}}, "A-B": {"command": "x", "port": 4002}}}`,
      "A-B",
      "name",
      "same folder name",
    ],
    [`{"servers": {"a": {${PORT}, "host": "0.0.0.0"}}}`, "a", "host", 'not "0.0.0.0"'],
    [`{"servers": {"a": {${PORT}, "path": "mcp"}}}`, "a", "path", 'must begin with "/"'],
    [`{"servers": {"a": {${PORT}, "path": "/mcp?x=1"}}}`, "a", "path", 'not "/mcp?x=1"'],
    [`{"servers": {"a": {${PORT}, "path": "/mcp#x"}}}`, "a", "path", "fragment"],
    [`{"servers": {"a": {${PORT}, "path": "/*"}}}`, "a", "path", "wildcard"],
    [
      `{"servers": {"a": {${PORT}, "identity": {"statusPath": "status"}}}}`,
      "a",
      "identity.statusPath",
      "begin with",
    ],
    [`{"servers": {"a": {${PORT}, "version": "latest"}}}`, "a", "version", 'not "latest"'],
    [`{"servers": {"a": {${PORT}, "version": ""}}}`, "a", "version", "exact version"],
    [`{"servers": {"a": {${PORT}, "transport": "http"}}}`, "a", "transport", 'not "http"'],
    [
      `{"servers": {"a": {${PORT}, "ready": {"timeout": 30}}}}`,
      "a",
      "ready.timeout",
      "must be a text in quotes, not 30",
    ],
    [`{"servers": {"a": {${PORT}, "ready": {"timeout": "30"}}}}`, "a", "ready.timeout", "must be a duration"],
    [`{"servers": {"a": {${PORT}, "ready": {"timeout": "0s"}}}}`, "a", "ready.timeout", "at least 1ms"],
    [`{"servers": {"a": {${PORT}, "restart": {"max": -1}}}}`, "a", "restart.max", "at least 0"],
    [`{"servers": {"a": {${PORT}, "restart": {"misses": 0}}}}`, "a", "restart.misses", "at least 1"],
    [`{"servers": {"a": {${PORT}, "args": ["a", 1]}}}`, "a", "args.1", "must be a text, or a list of texts"],
    [`{"servers": {"a": {${PORT}, "args": [["a", ["b"]]]}}}`, "a", "args.0", "must be a text"],
    [
      `{"servers": {"a": {${PORT}, "args": ["--p", "\${prot}"]}}}`,
      "a",
      "args.1",
      "unknown variable ${prot}",
      '"${port}"?',
    ],
    [
      `{"servers": {"a": {${PORT}, "env": {"P": "\${PORT}"}}}}`,
      "a",
      "env.P",
      "unknown variable",
      '"${port}"?',
    ],
    [`{"servers": {"a": {${PORT}, "cwd": "\${x"}}}`, "a", "cwd", 'without "}"'],
    ['{"servers": {"a": {"command": "${dir}/x", "port": 4001}}}', "a", "command", "unknown variable ${dir}"],
    [
      `{"servers": {"a": {${PORT}, "session": {"env": "S", "payload": {"x": ["\${y}"]}}}}}`,
      "a",
      "session.payload.x.0",
      "${y}",
    ],
    [`{"servers": {"a": {${PORT}, "session": {"payload": {}}}}}`, "a", "session.env", "is missing"],
    [
      `{"servers": {"a": {${PORT}, "telemetry": {"disable": true}}}}`,
      "a",
      "telemetry.env",
      "at least one variable",
    ],
    [`{"servers": {"a": {${PORT}, "devSource": {"mode": "prefix"}}}}`, "a", "devSource.marker", "is missing"],
    [`{"servers": {"a": {${PORT}, "modeEnv": "A=B"}}}`, "a", "modeEnv", "name of an environment variable"],
    [
      '{"servers": {"a": {"extends": "dmeo"}}}',
      "a",
      "extends",
      'names no preset: "dmeo"',
      'did you mean "demo"?',
    ],
    [
      '{"servers": {"a": {"extends": "zzz"}}}',
      "a",
      "extends",
      "names no preset",
      "demo, everything, godot-ai",
    ],
    ['{"servers": {"a": {"command": "x",, }}}', null, null, "not valid JSON at line 1, column 35"],
    ['{"servers": {"a": {}, "a": {}}}', "a", null, "is written twice"],
    ['{"servers": {"__proto__": {}}}', "__proto__", null, "is a name that can't be used"],
    [`{"servers": {"a": {${PORT}, "env": {"__proto__": "x"}}}}`, "a", "env.__proto__", "can't be used"],
  ];
  for (const [text, server, key, message, hint = ""] of table) {
    const error = await assertRejects(() => loadText(text), DefinitionError);
    assertEquals([error.server, error.key], [server, key], `${text}: ${error.message}`);
    assert(error.file?.endsWith("foster.json"));
    assertStringIncludes(error.message, "foster.json: ");
    if (server !== null) assertStringIncludes(error.message, `server ${JSON.stringify(server)}`);
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.hint ?? "", hint, error.message);
  }
});

Deno.test("loadDefinitions() never shows the value of an environment variable or a session", async () => {
  for (
    const extra of [
      '"env": {"KEY": 12345}',
      '"env": {"KEY": ["12345"]}',
      '"session": {"env": "S", "payload": "12345"}',
      '"headers": {"Authorization": 12345}',
    ]
  ) {
    const error = await assertRejects(
      () => loadText(`{"servers": {"a": {${PORT}, ${extra}}}}`),
      DefinitionError,
    );
    assertEquals(error.message.includes("12345"), false, error.message);
  }
});

Deno.test("loadDefinitions() takes a server called like a property of every object", async () => {
  for (const name of ["constructor", "toString", "hasOwnProperty"]) {
    const loaded = await loadText(`{"servers": {"${name}": {${PORT}}}}`);
    assertEquals(loaded.inFile.map((each) => each.name), [name]);
    assertEquals(loaded.find(name)?.port, 4001);
  }
});

Deno.test("loadDefinitions() refuses a user's server whose key is another name's preset", async () => {
  await inFolder(
    { ".config/foster/foster.json": `{"servers": {"Demo": {${PORT}}}}`, "p/x": "" },
    async (folder) => {
      const host = machine({ HOME: folder });
      const options = { configFlag: null, callerFolder: `${folder}/p` };
      await assertRejects(
        () => loadDefinitions(host, options),
        DefinitionError,
        'same folder name as the preset "demo"',
      );
    },
  );
});
