import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { exists, Foster } from "./harness.ts";

const SECRET = "sk-0123456789abcdefghij";
const SETTINGS = JSON.stringify({
  mcpServers: {
    files: { command: "npx", args: ["-y", "file-server", "."], env: { API_KEY: SECRET, LEVEL: "2" } },
    far: { type: "http", url: "https://mcp.example.com/mcp" },
  },
});

Deno.test("import shows what it would write, and writes it with --write", async (t) => {
  await using foster = await Foster.create();
  await foster.write(".mcp.json", SETTINGS);
  const file = join(foster.cwd, "foster.jsonc");

  await t.step("without --write nothing is written", async () => {
    const { stdout, stderr } = await foster.expect(0, ["import"]);
    assertEquals(JSON.parse(stdout).servers.files, {
      command: "npx",
      args: ["-y", "file-server", "."],
      env: { API_KEY: "${env:API_KEY}", LEVEL: "2" },
      transport: "stdio",
    });
    assertMatch(stderr, /set API_KEY in your environment/);
    assertMatch(stderr, /far: left out .*remote \(mcp\.example\.com\)/);
    assertMatch(stderr, /nothing was written: --write/);
    assert(!(stdout + stderr).includes(SECRET));
    assertEquals(await exists(file), false);
  });

  await t.step("with --write the file is there, and foster reads it", async () => {
    const { stdout } = await foster.expect(0, ["import", "--write"]);
    assertEquals(stdout, `${file}\n`);
    const { stdout: status } = await foster.run(["status", "files", "--json"]);
    assertEquals(JSON.parse(status).servers[0].name, "files");
  });

  await t.step("a second time there is nothing left to take over", async () => {
    const before = await Deno.readTextFile(file);
    const { stderr } = await foster.expect(0, ["import", "--write"]);
    assertMatch(stderr, /files: left out .*has it already/);
    assertEquals(await Deno.readTextFile(file), before);
    assertEquals(await exists(`${file}.bak`), false);
  });
});

Deno.test("import adds to an existing file, keeps its comments and a copy", async () => {
  await using foster = await Foster.create();
  const before = `{\n  // mine\n  "servers": {\n    "example": { "extends": "demo" } // keep\n  }\n}\n`;
  const file = await foster.write("foster.json", before);
  const settings = await foster.write("other.json", SETTINGS);
  const dry = await foster.expect(0, ["import", "other.json"]);
  assert(dry.stdout.split("\n").slice(0, -1).every((line) => line.startsWith("+ ")), dry.stdout);
  const { written, backup, sources, imported, left_out } = (await foster.expect(0, [
    ...["import", settings, "--write", "--json"],
  ])).json<Record<string, { name: string }[]>>();
  assertEquals([written, backup, sources], [true, `${file}.bak`, [settings]] as unknown[]);
  assertEquals([imported?.[0]?.name, left_out?.[0]?.name], ["files", "far"]);
  const after = await Deno.readTextFile(file);
  assert(after.includes("// mine") && after.includes("// keep") && !after.includes(SECRET), after);
  assertEquals(await Deno.readTextFile(`${file}.bak`), before);
  await foster.expect(0, ["up", "example"]);
});

Deno.test("import looks in the home folder too, and says where it looked when there is nothing", async () => {
  await using foster = await Foster.create();
  const nothing = await foster.expect(2, ["import"]);
  assertMatch(nothing.stderr, /no settings of another MCP program/);
  await Deno.mkdir(join(foster.home, ".cursor"));
  await Deno.writeTextFile(join(foster.home, ".cursor", "mcp.json"), SETTINGS);
  await foster.write(".mcp.json", "{ broken");
  const { stdout, stderr } = await foster.expect(0, ["import"]);
  assertEquals(Object.keys(JSON.parse(stdout).servers), ["files"]);
  assertMatch(stderr, /passed over: .*\.mcp\.json/);
  assertMatch((await foster.expect(2, ["import", ".mcp.json"])).stderr, /not valid JSON/);
  assertMatch((await foster.expect(2, ["import", "none.json"])).stderr, /there is no file/);
});
