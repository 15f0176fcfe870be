import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, toFileUrl } from "@std/path";
import { build } from "../../scripts/build.ts";
import { bunPath, bunVersion } from "../../scripts/bun_tool.ts";

const host = (name: string) => new URL(`../../src/host/engine/${name}/mod.ts`, import.meta.url).href;

/** A program that picks its host as foster does and tells what it sees. */
const mainSource = `
declare const FOSTER_COMMIT: string | undefined;
const { Deno: deno } = globalThis as { Deno?: unknown };
const host = deno === undefined
  ? await (await import("${host("bun")}")).createBunHost()
  : await (await import("${host("deno")}")).createDenoHost();
host.terminal.out(JSON.stringify({
  engine: host.engine,
  argv: host.program.argv,
  self: (await host.processes.inspect([host.processes.selfPid])).get(host.processes.selfPid)?.kind,
  locked: await host.files.tryLock(host.program.folder + "/lock", 0o600) !== null,
  fromDotenv: host.env.get("FROM_DOTENV") ?? null,
  commit: typeof FOSTER_COMMIT === "undefined" ? null : FOSTER_COMMIT,
}));
host.program.exit(5);
`;

Deno.test("bunPath() finds Bun in the pinned version", async () => {
  const { stdout } = await new Deno.Command(await bunPath(), { args: ["--version"] }).output();
  assertEquals(new TextDecoder().decode(stdout).trim(), bunVersion);
});

Deno.test("build() makes one Bun binary that needs nothing else and leaves nothing beside it", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-build-" }));
  try {
    const entry = join(folder, "main.ts");
    await Deno.writeTextFile(entry, mainSource);
    await Deno.mkdir(join(folder, "elsewhere"));
    await Deno.writeTextFile(join(folder, "elsewhere", ".env"), "FROM_DOTENV=yes\n");
    const out = join(folder, "out", "program");
    const path = await build({ engine: "bun", target: null, entry, out, commit: "abc1234" });
    assertEquals(
      [...Deno.readDirSync(join(folder, "out"))].map((each) => join(folder, "out", each.name)),
      [path],
    );
    const { code, stdout } = await new Deno.Command(path, {
      args: ["ps", "--json", "ü"],
      cwd: join(folder, "elsewhere"),
    }).output();
    assertEquals(code, 5);
    const told = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(told.engine, {
      name: "bun",
      version: bunVersion,
      standalone: true,
      arch: told.engine.arch,
      fullAccess: true,
      selfCommand: [path],
    });
    assertEquals(told, {
      engine: told.engine,
      argv: ["ps", "--json", "ü"],
      self: "seen",
      locked: true,
      fromDotenv: null,
      commit: "abc1234",
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("build() says what failed, and leaves nothing behind", async () => {
  const folder = await Deno.makeTempDir({ prefix: "foster-build-" });
  try {
    const entry = join(folder, "main.ts");
    await Deno.writeTextFile(entry, `import "${toFileUrl(join(folder, "none.ts"))}";\n`);
    const out = join(folder, "out", "program");
    const error = await build({ engine: "bun", target: null, entry, out, commit: "abc1234" })
      .catch((thrown: unknown) => thrown);
    assert(error instanceof Error);
    assert(error.message.includes("none.ts"), error.message);
    assertEquals([...Deno.readDirSync(join(folder, "out"))], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function script(...args: string[]) {
  const path = fromFileUrl(new URL("../../scripts/build.ts", import.meta.url));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-q", path, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("the build script refuses an engine that it does not know", async () => {
  const { code, stderr } = await script("--engine", "other");
  assertEquals([code, stderr], [2, "--engine is bun or deno, not other\n"]);
});

Deno.test("the build script builds nothing where it is asked for help or not understood", async () => {
  const help = await script("--help");
  assertEquals([help.code, help.stdout.split("[")[0]], [0, "Usage: deno task build "]);
  const { code, stdout, stderr } = await script("--al");
  assertEquals([code, stdout, stderr], [2, help.stdout, "Unknown option '--al'\n"]);
});
