import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { GLOBAL_OPTIONS, readArgs } from "../../src/cli/args.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { verbHelp } from "../../src/cli/help.ts";
import { Foster } from "../e2e/harness.ts";

/** Every verb that foster promises, in the order of its help. */
const PROMISED = [
  ...["up", "down", "restart", "recover", "handoff", "run", "serve", "connect", "link"],
  ...["status", "ps", "top", "ui", "logs", "probe", "doctor", "register", "sweep", "warm"],
  ...[
    "presets",
    "schema",
    "init",
    "import",
    "attach",
    "detach",
    "export",
    "update",
    "version",
    "completions",
  ],
];

/** Examples in an order in which they work, with the exit codes that they may give on any machine. */
const RUN: readonly (readonly [example: string, ...codes: number[]])[] = [
  ["version", 0],
  ["version --check", 0, 1],
  ["presets", 0],
  ["presets --json", 0],
  ["schema", 0],
  ["init", 0],
  ["completions bash", 0],
  ["completions --names", 0],
  ["import", 0],
  ["import .mcp.json --write", 0],
  ["attach --dry-run", 0, 2],
  ["attach --import --yes", 0, 2],
  ["detach --dry-run", 0],
  ["detach cursor --yes", 0],
  ["detach --yes", 0],
  ["export kubernetes demo", 0],
  ["export compose --together", 0],
  ["export systemd", 0],
  ["up demo", 0],
  ["status demo", 0],
  ["status demo --json", 0],
  ["ps", 0],
  ["ps --json", 0],
  ["top --once", 0],
  ["top --json --once", 0],
  ["logs demo -n 20", 0],
  ["logs demo --events", 0],
  ["probe demo --tool echo", 0],
  ["doctor", 0, 1],
  ["doctor processes --cleanup-stale-records", 0, 1],
  ["sweep", 0],
  ["recover demo", 0],
  ["recover demo --json", 0],
  ["restart demo", 0],
  ["restart demo --force", 0],
  ["handoff demo --up", 0],
  ["handoff demo", 0],
  ["serve --detach --json", 0],
  ["ui", 0],
  ["ui --no-open --json", 0],
  ["down demo", 0],
  ["down --all", 0],
];

/** Those that a test can't run, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "up everything --json": "needs a registry",
  "warm godot-ai": "needs a registry",
  "warm --all --json": "needs a registry",
  "update": "would replace the program",
  "update --to 0.2.0": "would replace the program",
  "export systemd --install": "changes the user's session",
  "run": "goes on until it is interrupted",
  "serve": "goes on until it is interrupted",
  "run demo --json": "goes on until it is interrupted",
  "connect demo": "speaks with a client",
  "connect docs --idle never": "speaks with a client",
  "link demo": "goes on until it is closed",
  "link demo --project /tmp/game --readiness importing": "goes on until it is closed",
  "probe http://127.0.0.1:3001/mcp --wait 20s": "the port may be anybody's",
  "register --transport stdio -- uvx some-server": "there is no such server",
  "register --transport http --bind 127.0.0.1:3001 -- node server.js": "there is no such server",
  "sweep --apply --min-age 10m": "deletes",
  "schema > foster.schema.json": "is for a shell",
  "init --json": "the other one has written the files already",
};

const verbs = await Promise.all(Object.values(VERBS).map((load) => load()));
const page = await Deno.readTextFile(fromFileUrl(new URL("../../docs/verbs.md", import.meta.url)));

Deno.test("the verbs are those that are promised, in the help and in docs/verbs.md", async () => {
  assertEquals(Object.keys(VERBS), PROMISED);
  assertEquals(verbs.map(({ name }) => name), PROMISED);
  const sections = [...page.matchAll(/^## foster ([a-z]+)$/gm)].map(([, name = ""]) => name);
  assertEquals(sections, PROMISED);
  await using foster = await Foster.create();
  const { stdout } = await foster.expect(0, ["--help"]);
  const listed = [...stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
  assertEquals(listed, PROMISED);
});

for (const verb of verbs) {
  Deno.test(`foster ${verb.name} --help has a usage line, every option and examples`, () => {
    const help = verbHelp(verb);
    assert(help.includes(`\nUsage: foster ${verb.name}`), help);
    for (const { name, summary } of [...verb.options, ...GLOBAL_OPTIONS]) {
      assert(help.includes(`--${name}`) && help.includes(summary), name);
    }
    assert(verb.examples.length >= 2, `${verb.examples.length} examples`);
    for (const [command, what] of verb.examples) {
      assert(help.includes(`  foster ${command}\n      ${what}\n`), command);
      assertEquals(command.split(" ")[0], verb.name);
    }
  });

  Deno.test(`the examples of foster ${verb.name} use options that it has, and are run or accounted for`, () => {
    for (const [command] of verb.examples) {
      const [, ...words] = command.split(" > ")[0]?.split(" ") ?? [];
      readArgs(words, verb.options);
      const isRun = RUN.some(([example]) => example === command);
      assertEquals(isRun, !Object.hasOwn(NOT_RUN, command), command);
    }
  });
}

Deno.test("the examples work as they stand", async (t) => {
  await using foster = await Foster.create();
  await foster.write(".mcp.json", `{"mcpServers":{"files":{"command":"npx","args":["files"]}}}`);
  const env = { UV_CACHE_DIR: join(foster.folder, "uv") };
  for (const [example, ...codes] of RUN) {
    await t.step(`foster ${example}`, async () => {
      const { code, stdout, stderr } = await foster.run(example.split(" "), { env });
      assert(codes.includes(code), `${code}\n${stdout}\n${stderr}`);
      if (example.includes("--json")) JSON.parse(stdout);
    });
  }
});

Deno.test("foster --version --verbose tells the engine", async () => {
  await using foster = await Foster.create();
  const { stdout } = await foster.expect(0, ["--version", "--verbose"]);
  assertMatch(
    stdout,
    /^foster \d+\.\d+\.\d+.* \((?:deno|bun) \d+\.\d+\.\d+, (?:compiled|from source), .*\)\n$/,
  );
});
