import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Foster } from "./harness.ts";

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

const SETTINGS = {
  ".claude.json":
    `{\n  "n": 1,\n  "mcpServers": {"github": {"type": "stdio", "command": "no-such-gh", "args": ["-y", "gh"], "env": {"GITHUB_TOKEN": "${SECRET}"}}}\n}`,
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
  for (const [path, text] of before) assertEquals(await Deno.readTextFile(path), text);

  const asked = await foster.expect(2, ["attach", "--import"]);
  assertMatch(asked.stderr, /nobody can be asked here/);

  const { stdout, stderr } = await foster.expect(0, ["attach", "--import", "--yes", "--json"]);
  const { clients, imported, definition_file } = JSON.parse(stdout);
  assertEquals(clients.map(({ client }: { client: string }) => client), ["claude-code", "cursor", "codex"]);
  assertEquals(imported.map(({ name }: { name: string }) => name), ["github", "files", "docs"]);
  assert(!(stdout + stderr + dry.stdout + dry.stderr).includes(SECRET));
  assert(!(await Deno.readTextFile(definition_file)).includes(SECRET));
  const claude = JSON.parse(await Deno.readTextFile(join(foster.home, ".claude.json")));
  assertEquals(Object.keys(claude.mcpServers), ["github", "files", "docs"]);
  const { args, env } = claude.mcpServers.github;
  assert(args.includes("connect") && args.includes(definition_file));
  assertEquals(env, { GITHUB_TOKEN: SECRET });

  const status = await foster.run(["status", "github", "--json"], { cwd: foster.home });
  assertEquals(JSON.parse(status.stdout).servers[0].attached, ["claude-code", "codex", "cursor"].sort());
  await foster.expect(0, ["attach", "--yes", "--config", definition_file]);
  assertMatch((await foster.expect(0, ["attach", "--repair"])).stderr, /every entry fits/);

  await foster.expect(0, ["detach", "--yes"]);
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
  const attached = await foster.expect(0, ["attach", "cursor", "--yes"]);
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

/** How each real client lists its servers, and what it says of one that it reached. */
const REAL = [
  { client: "claude-code", program: "claude", seen: /demo: .* connect demo.*Connected/ },
  { client: "opencode", program: "opencode", seen: /demo.*connected/s },
  { client: "codex", program: "codex", seen: /demo .* enabled/ },
  { client: "gemini", program: "gemini", seen: /demo: .* connect demo/ },
] as const;

for (const { client, program, seen } of REAL) {
  const path = await which(program);
  Deno.test({
    name: `${program} lists foster's server after attach, and does not after detach`,
    ignore: path === null,
    async fn() {
      await using foster = await Foster.create();
      await foster.write("foster.json", DEMO);
      await homeOf(foster, { ".codex/config.toml": "", ".gemini/settings.json": "{}" });
      await foster.expect(0, ["attach", client, "--yes"]);
      const listed = async () => {
        const running = foster.startProgram(path ?? program, ["mcp", "list"]);
        await running.closeInput();
        const { stdout, stderr } = await running.finish(90_000);
        return stdout + stderr;
      };
      assertMatch(await listed(), seen);
      await foster.expect(0, ["detach", "--yes"]);
      assert(!/connect demo/.test(await listed()));
    },
  });
}

async function which(program: string): Promise<string | null> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(Deno.build.os === "windows" ? ";" : ":")) {
    const path = join(folder, program);
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  return null;
}
