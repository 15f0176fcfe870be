import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Foster } from "./harness.ts";

/** One of each shape, `planted-NN` in each. */
const SHAPES = {
  env: { command: "no-such-1", env: { NOTION_TOKEN: "planted-01" } },
  json: {
    command: "no-such-2",
    env: { OPENAPI_MCP_HEADERS: '{"Authorization": "Bearer planted-02", "V": "1"}' },
  },
  connection: { command: "no-such-3", env: { AZURE: "AccountName=x;AccountKey=planted-03==;Suffix=y" } },
  flagOfWords: {
    command: "no-such-4",
    args: ["--connection-string", "Server=localhost;User Id=sa;Password=planted-04;"],
  },
  bearerFlag: { command: "no-such-5", args: ["--oauth2Bearer", "planted-05"] },
  headerFlag: { command: "no-such-6", args: ["--header=Authorization: Bearer planted-06"] },
  docker: { command: "no-such-docker", args: ["run", "-i", "--rm", "--env=API_KEY=planted-07", "img"] },
  webhook: {
    command: "no-such-8",
    env: { SLACK_WEBHOOK_URL: "https://hooks.slack.com/services/T0/B0/planted-08" },
  },
  flag: { command: "no-such-9", args: ["--api-key", "planted-09"] },
  userinfo: { command: "no-such-10", args: ["postgresql://me:planted-10@localhost/db"] },
  query: { command: "no-such-11", args: ["https://mcp.example.com/mcp?exaApiKey=planted-11&profile=p"] },
  token: { command: "no-such-12", args: ["ghp_planted12planted12planted12"] },
  header: { command: "no-such-13", url: "http://localhost:4013/mcp", headers: { "X-Api-Key": "planted-13" } },
  key: {
    command: "no-such-14",
    env: { CERT: "-----BEGIN PRIVATE KEY-----\nplanted-14\n-----END PRIVATE KEY-----" },
  },
  login: { command: "no-such-15 -u admin:planted-15 --verbose" },
} as const;

const PLANTED = /planted-?\d\d/g;

type Shape = Record<string, unknown>;

function settingsOf(shapes: Readonly<Record<string, Shape>>): Record<string, string> {
  const names = Object.keys(shapes);
  const part = (from: number, to: number) =>
    Object.fromEntries(names.slice(from, to).map((name) => [name, shapes[name] ?? {}]));
  const toml = Object.entries(part(9, 12)).map(([name, { command, args }]) =>
    `[mcp_servers.${name}]\ncommand = ${JSON.stringify(command)}\nargs = ${JSON.stringify(args)}\n`
  ).join("\n");
  const yaml = Object.entries(part(4, 6)).map(([name, { command, args }]) =>
    `  ${name}:\n    type: stdio\n    name: ${name}\n    cmd: ${command}\n    args: ${JSON.stringify(args)}\n`
  ).join("");
  return {
    ".claude.json": JSON.stringify({ mcpServers: part(0, 4) }, null, 2),
    ".config/goose/config.yaml": `extensions:\n${yaml}`,
    ".cursor/mcp.json": JSON.stringify({ mcpServers: { ...part(6, 9), ...part(14, 15) } }),
    ".codex/config.toml": toml,
    ".config/Code/User/mcp.json": JSON.stringify({ servers: part(12, 14) }, null, "\t"),
  };
}

/** Every planted secret in the files below a folder, by its file. */
async function plantedIn(folder: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) { for (const [file, secrets] of await plantedIn(path)) found.set(file, secrets); }
    if (!isFile) continue;
    const text = await Deno.readTextFile(path).catch(() => "");
    // Secrets in base64 or with escapes are secrets, too.
    const secrets = [...text.match(PLANTED) ?? [], ...text.match(/cGxhbnRlZC|planted/g) ?? []];
    if (secrets.length > 0) found.set(path, [...new Set(secrets)]);
  }
  return found;
}

Deno.test("a secret of each shape is found nowhere but where it was, neither after import nor after attach", async () => {
  await using foster = await Foster.create();
  const settings = settingsOf(SHAPES);
  const own: string[] = [];
  for (const [path, text] of Object.entries(settings)) {
    const file = join(foster.home, path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    await Deno.writeTextFile(file, text);
    own.push(file);
  }
  assertEquals(new Set(Object.values(settings).join().match(PLANTED)).size, 15);
  const attached = join(foster.stateDir, "attached");
  const nowhereElse = async (isAttached: boolean) => {
    const places = [...await plantedIn(foster.folder)].filter(([path]) =>
      !own.includes(path) && !(isAttached && path.startsWith(attached))
    );
    assertEquals(places, []);
  };
  const quiet = async (code: number, args: string[]) => {
    const { stdout, stderr } = await foster.expect(code, args, { timeoutMs: 120_000 });
    const said = (stdout + stderr).match(PLANTED);
    assertEquals(said, null, `${args.join(" ")}\n${stdout}\n${stderr}`);
    return stdout;
  };

  await quiet(0, ["import"]);
  await quiet(0, ["import", "--write", "--json"]);
  await nowhereElse(false);
  await Deno.remove(join(foster.cwd, "foster.jsonc"));
  await quiet(0, ["attach", "--import", "--dry-run"]);
  await quiet(0, ["attach", "--import", "--dry-run", "--json"]);
  await nowhereElse(false);
  const { imported, clients } = JSON.parse(await quiet(1, ["attach", "--import", "--yes", "--json"]));
  assertEquals([imported.length, clients.length], [15, 5]);
  await nowhereElse(true);
  for await (const { name } of Deno.readDir(attached)) {
    if (Deno.build.os !== "windows") {
      assertEquals((await Deno.stat(join(attached, name))).mode! & 0o777, 0o600, name);
    }
  }
  // What each client has still is in its own file: the server gets it through that client.
  for (const [path, text] of Object.entries(settings)) {
    const now = await Deno.readTextFile(join(foster.home, path));
    assertEquals(new Set(now.match(PLANTED)), new Set(text.match(PLANTED)), path);
    for (const [secret] of text.matchAll(PLANTED)) assert(now.includes(secret));
  }
  await quiet(0, ["status", "env", "--json", "--config", join(foster.home, ".config/foster/foster.jsonc")]);
  await foster.run(["doctor", "--json"]).then(({ stdout }) => assertEquals(stdout.match(PLANTED), null));
  await quiet(0, ["detach", "--yes"]);
  await nowhereElse(false);
  for (const [path, text] of Object.entries(settings)) {
    assertEquals(await Deno.readTextFile(join(foster.home, path)), text);
  }
});
