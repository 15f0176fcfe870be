import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Foster } from "./harness.ts";
import { missing, unless } from "../skip.ts";
import { noTerminal, onTerminal, shows } from "./terminal.ts";

const SECRET = "ghp_0123456789abcdefghijklmnop";
const DEMO = '{"servers": {"demo": {"extends": "demo"}}}';

async function homeOf(foster: Foster, files: Record<string, string>): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  for (const [path, text] of Object.entries(files)) {
    const file = join(foster.home, path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    await Deno.writeTextFile(file, text);
    paths.set(file, text);
  }
  return paths;
}

/** Formats whose parsers are loaded late: a binary has to find them. */
const YAML = "# mine\nGOOSE_MODEL: x # the large one\n";

const SETTINGS = {
  ".config/goose/config.yaml": YAML,
  ".claude.json":
    `{\n  "n": 1,\n  "mcpServers": {"github": {"type": "stdio", "command": "no-such-gh", "args": ["-y", "gh"], "env": {"GITHUB_TOKEN": "${SECRET}"}},\n    "sentry": {"type": "http", "url": "https://mcp.sentry.dev/mcp"}}\n}`,
  ".cursor/mcp.json":
    '{\r\n\t"mcpServers": {\r\n\t\t"files": {"command": "no-such-files -y /tmp"}\r\n\t}\r\n}\r\n',
  ".codex/config.toml":
    '# mine\nmodel = "x"\n\n[mcp_servers.docs]\ncommand = "no-such-docs" # python\nargs = ["docs"]\n',
};

Deno.test("attach --import --yes puts every client's servers behind foster, and detach gives the files back", async () => {
  await using foster = await Foster.create();
  const before = await homeOf(foster, SETTINGS);
  const dry = await foster.expect(0, ["attach", "--import", "--dry-run"]);
  assertMatch(dry.stderr, /github: no-such-gh -y gh/);
  assertMatch(dry.stderr, /nothing was written/);
  assertMatch(dry.stdout, /^--- .*\.cursor\/mcp\.json\n\+\+\+ .*\n@@ -3 \+3,/m);
  assertMatch(dry.stdout, /^-\t\t"files": \{"command": "no-such-files -y \/tmp"\}/m);
  assertMatch(dry.stdout, /^\+.*"connect"/m);
  assertMatch(dry.stderr, /sentry: stays as it is in .*: it is remote/);
  for (const [path, text] of before) assertEquals(await Deno.readTextFile(path), text);

  const asked = await foster.expect(2, ["attach", "--import"]);
  assertMatch(asked.stderr, /nobody can be asked here/);

  // None of these programs is there: the entries stay all the same.
  const { stdout, stderr } = await foster.expect(1, ["attach", "--import", "--yes", "--json"]);
  assertMatch(stderr, /foster up "github" tries again/);
  const { clients, imported, definition_file } = JSON.parse(stdout);
  assertEquals(clients.map(({ client }: { client: string }) => client), [
    "claude-code",
    "cursor",
    "codex",
    "goose",
  ]);
  assertEquals(imported.map(({ name }: { name: string }) => name), ["github", "files", "docs"]);
  assert(!(stdout + stderr + dry.stdout + dry.stderr).includes(SECRET));
  assert(!(await Deno.readTextFile(definition_file)).includes(SECRET));
  const claude = JSON.parse(await Deno.readTextFile(join(foster.home, ".claude.json")));
  assertEquals(Object.keys(claude.mcpServers), ["github", "sentry", "files", "docs"]);
  const { args, env } = claude.mcpServers.github;
  assert(args.includes("connect") && args.includes(definition_file));
  assertEquals(env, { GITHUB_TOKEN: SECRET });

  const status = await foster.run(["status", "github", "--json"], { cwd: foster.home });
  assertEquals(JSON.parse(status.stdout).servers[0].attached.sort(), [
    "claude-code",
    "codex",
    "cursor",
    "goose",
  ]);
  const again = await foster.expect(0, ["attach", "--yes", "--config", definition_file]);
  assert(!again.stdout.includes("changed"), again.stdout);
  assertMatch((await foster.expect(0, ["attach", "--repair"])).stderr, /every entry fits/);

  const shown = await foster.expect(0, ["detach", "--dry-run"]);
  assertEquals(shown.stdout.match(/would be given back/g)?.length, before.size);
  const detached = await foster.expect(0, ["detach", "--yes"]);
  assertEquals(detached.stdout.match(/: given back/g)?.length, before.size);
  assertEquals((detached.stdout + detached.stderr).split(".claude.json").length, 2);
  assertStringIncludes(detached.stderr, `the definitions stay in ${definition_file}`);
  for (const [path, text] of before) assertEquals(await Deno.readTextFile(path), text, path);
  assertMatch((await foster.expect(0, ["detach", "--yes"])).stderr, /no client is attached/);
});

Deno.test("doctor finds entries that no longer fit, and attach --repair mends them", async () => {
  await using foster = await Foster.create();
  await homeOf(foster, { ".cursor/mcp.json": "{}\n" });
  const file = await foster.write(
    "foster.json",
    DEMO.replace("}}}", '}, "docs": {"command": "no-such-docs"}}}'),
  );
  const attached = await foster.expect(1, ["attach", "cursor", "--yes"]);
  assertMatch(attached.stderr, /demo: answers, [1-9]\d* tools/);
  assertMatch(attached.stderr, /docs: did not start yet: /);
  await Deno.writeTextFile(file, DEMO);
  const { stdout } = await foster.run(["doctor", "tools", "--json"]);
  const { findings } = JSON.parse(stdout);
  const found = findings.find(({ code }: { code: string }) => code === "client_entry_vanished");
  assertStringIncludes(found.message, 'the entry "docs"');
  assertStringIncludes(found.fix, "attach --repair");
  await foster.expect(0, ["attach", "--repair"]);
  const settings = JSON.parse(await Deno.readTextFile(join(foster.home, ".cursor", "mcp.json")));
  assertEquals(Object.keys(settings.mcpServers), ["demo"]);
});

Deno.test("attach names what it does not know, and writes no token into a project's file", async () => {
  await using foster = await Foster.create();
  await foster.write("foster.json", DEMO);
  assertMatch((await foster.expect(2, ["attach"])).stderr, /no MCP client that foster knows was found/);
  assertMatch((await foster.expect(2, ["attach", "curser"])).stderr, /did you mean cursor\?/);
  assertMatch(
    (await foster.expect(2, ["attach", "cursor", "--via", "http", "--scope", "project", "--yes"])).stderr,
    /no token is written into a project's file/,
  );
  assertMatch((await foster.expect(2, ["attach", "cursor", "--via", "http"])).stderr, /no gateway of foster/);
  await foster.expect(0, ["attach", "claude-code", "--scope", "project", "--yes"]);
  const project = JSON.parse(await Deno.readTextFile(join(foster.cwd, ".mcp.json")));
  assertEquals(Object.keys(project.mcpServers), ["demo"]);
  await foster.expect(0, ["detach", "--yes"]);
  assertEquals(await Deno.stat(join(foster.cwd, ".mcp.json")).catch(() => null), null);
});

Deno.test(
  unless(noTerminal, "attach and detach ask once on a terminal, and take no for an answer"),
  async () => {
    await using foster = await Foster.create();
    await foster.write("foster.json", DEMO);
    const [[file, text] = ["", ""]] = await homeOf(foster, { ".cursor/mcp.json": "{}\n" });
    const asked = async (verb: string, question: RegExp, answer: string, code: number) => {
      const running = onTerminal(foster, [verb, "cursor"]);
      await shows(running, question);
      await running.write(answer);
      const { stdout } = await running.finish();
      assertMatch(stdout, new RegExp(`\nEXIT ${code} SAME\n$`));
      assertEquals(stdout.match(/\[y\/N\]/g)?.length, 1);
    };
    await asked("attach", /Change these files\? \[y\/N\] $/, "n\n", 1);
    assertEquals(await Deno.readTextFile(file), text);
    await asked("attach", /Change these files\? \[y\/N\] $/, "y\n", 0);
    assertMatch(await Deno.readTextFile(file), /"connect"/);
    await asked("detach", /Give these files back\? \[y\/N\] $/, "\n", 1);
    assertMatch(await Deno.readTextFile(file), /"connect"/);
    await asked("detach", /Give these files back\? \[y\/N\] $/, "yes\n", 0);
    assertEquals(await Deno.readTextFile(file), text);
  },
);

Deno.test("attach and doctor say that an approved .mcp.json wins over the user's settings, and attach leaves it alone", async () => {
  await using foster = await Foster.create();
  const text = '{"mcpServers": {"docs": {"command": "no-such-docs"}}}';
  const file = await foster.write(".mcp.json", text);
  const refused = await foster.expect(2, ["attach", "claude-code", "--scope", "project", "--yes"]);
  assertMatch(refused.stderr, /foster import .*\.mcp\.json --write keeps the definitions/);
  assertEquals(await Deno.readTextFile(file), text);
  const projects = { [await Deno.realPath(foster.cwd)]: { enabledMcpjsonServers: ["docs"] } };
  await homeOf(foster, { ".claude.json": JSON.stringify({ projects }) });
  const attached = await foster.expect(1, ["attach", "claude-code", "--yes"]);
  assertMatch(attached.stdout, /changed; here .*\.mcp\.json wins for docs/);
  assertMatch(attached.stderr, /foster attach claude-code --import takes that one over/);
  const { stdout } = await foster.expect(1, ["doctor", "tools", "--json"]);
  const { findings } = JSON.parse(stdout);
  const found = findings.find(({ code }: { code: string }) => code === "client_entry_overruled");
  assertEquals(found.level, "warn");
  assertMatch(found.message, /"docs".*\.mcp\.json wins over foster's/);
});

Deno.test("status shows how the last process of a stdio server failed", async () => {
  await using foster = await Foster.create();
  await foster.write(
    "foster.json",
    '{"servers": {"bad": {"command": "deno", "args": ["eval", "Deno.exit(3)"]}}}',
  );
  await homeOf(foster, { ".cursor/mcp.json": "{}" });
  const attached = await foster.expect(1, ["attach", "cursor", "--yes"]);
  assertMatch(attached.stderr, /foster up "bad" tries again; its entry stays/);
  const { stdout } = await foster.run(["status", "bad"]);
  assertMatch(stdout, /its last process failed at .*ended with exit code 3/);
});

Deno.test("attach names the state folder where only a variable of this shell leads to it", async () => {
  await using foster = await Foster.create();
  await foster.write("foster.json", DEMO);
  const state = join(foster.folder, "own-state", "foster");
  const env = { FOSTER_STATE_DIR: undefined, XDG_STATE_HOME: join(foster.folder, "own-state") };
  const { stdout } = await foster.expect(0, ["attach", "cursor", "--dry-run", "--json"], { env });
  const { args } = JSON.parse(stdout).clients[0].entries[0].value;
  assertEquals(args.slice(-2), ["--state-dir", state]);
  assertEquals(args.slice(-4, -2), ["--config", join(foster.cwd, "foster.json")]);
});

Deno.test("attach in the home folder takes the user's settings for no project's", async () => {
  await using foster = await Foster.create();
  await homeOf(foster, {
    ".cursor/mcp.json": '{"mcpServers": {"files": {"command": "no-such-files"}}}',
    ".gemini/settings.json": "{}",
  });
  const { stdout } = await foster.expect(0, ["attach", "--import", "--dry-run", "--json"], {
    cwd: foster.home,
  });
  const { imported, clients } = JSON.parse(stdout);
  assertEquals(imported.map(({ definition }: { definition: unknown }) => definition), [
    { command: "no-such-files", transport: "stdio" },
  ]);
  assertEquals(clients.map(({ client }: { client: string }) => client), ["cursor", "gemini"]);
});

Deno.test("attach --via http writes commands for what needs an environment, and into a project's file", async () => {
  await using foster = await Foster.create();
  await foster.write("foster.json", DEMO);
  await homeOf(foster, {
    ".cursor/mcp.json":
      '{"mcpServers": {"keyed": {"command": "no-such-keyed", "env": {"API_KEY": "planted-key"}}}}',
    ".claude.json": "{}",
  });
  await foster.write(".mcp.json", '{"mcpServers": {"shared": {"command": "no-such-shared"}}}');
  await foster.expect(0, ["serve", "--detach"]);
  await foster.expect(1, ["attach", "cursor", "claude-code", "--import", "--via", "http", "--yes"]);
  const settings = async (path: string) => JSON.parse(await Deno.readTextFile(path)).mcpServers;
  const { demo, keyed } = await settings(join(foster.home, ".cursor", "mcp.json"));
  assertMatch(demo.url, /^http:\/\/127\.0\.0\.1:\d+\/mcp\/demo/);
  assertEquals([keyed.args.includes("connect"), keyed.env], [true, { API_KEY: "planted-key" }]);
  assert((await settings(join(foster.cwd, ".mcp.json"))).shared.args.includes("connect"));
  assertMatch((await foster.expect(0, ["attach", "--repair"])).stderr, /every entry fits/);
  await foster.expect(0, ["detach", "--yes"]);
});

/** How each real client lists its servers, and what it says of one that it reached, or that it would start. */
const REAL: readonly { client: string; program: string; args?: string[]; seen: RegExp; settings?: string }[] =
  [
    { client: "claude-code", program: "claude", seen: /demo: .* connect demo.*Connected/ },
    { client: "opencode", program: "opencode", seen: /demo.*connected/s },
    { client: "codex", program: "codex", seen: /demo .* enabled/, settings: ".codex/config.toml" },
    {
      client: "gemini",
      program: "gemini",
      seen: /demo: .* connect demo .*Connected/,
      settings: ".gemini/settings.json",
    },
    { client: "copilot", program: "copilot", seen: /demo \(local\)/ },
    {
      client: "cline",
      program: "cline",
      args: ["config", "mcp", "--json"],
      seen: /"demo"/,
      settings: ".cline/data/settings/cline_mcp_settings.json",
    },
  ];

const REAL_SETTINGS: Readonly<Record<string, string>> = {
  ".codex/config.toml": 'model = "gpt-5-codex" # mine\n',
  ".gemini/settings.json":
    '{\n  // It shows no server in a folder that it does not trust.\n  "security": {"folderTrust": {"enabled": false}}\n}\n',
  ".cline/data/settings/cline_mcp_settings.json": '{"mcpServers": {}}\n',
};

for (const { client, program, args = ["mcp", "list"], seen, settings } of REAL) {
  const name = `${program} lists foster's server after attach, and does not after detach`;
  Deno.test(unless(await missing(program), name), async () => {
    await using foster = await Foster.create();
    await foster.write("foster.json", DEMO);
    const text = settings === undefined ? null : REAL_SETTINGS[settings] ?? null;
    if (settings !== undefined && text !== null) await homeOf(foster, { [settings]: text });
    await foster.expect(0, ["attach", client, "--yes"]);
    const listed = async () => {
      const running = foster.startProgram(program, args, { env: { PATH: Deno.env.get("PATH") } });
      await running.closeInput();
      const { stdout, stderr } = await running.finish(90_000);
      return stdout + stderr;
    };
    assertMatch(await listed(), seen);
    await foster.expect(0, ["detach", "--yes"]);
    assert(!/connect demo|demo/.test(await listed()));
    if (settings !== undefined) assertEquals(await Deno.readTextFile(join(foster.home, settings)), text);
  });
}
