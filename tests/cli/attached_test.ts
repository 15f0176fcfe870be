import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { runFoster } from "../../src/cli/app.ts";
import { lastingPath } from "../../src/cli/attached.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { VERSION } from "../../src/version.ts";
import { FakeHost } from "../host/fake_host.ts";
import { unless } from "../skip.ts";

const noLinks = Deno.build.os === "windows" ? "a link needs a right of its own" : null;

Deno.test(
  unless(noLinks, "lastingPath() is the link on PATH where the program's own path has the version in it"),
  async () => {
    const folder = await Deno.realPath(await Deno.makeTempDir());
    const program = async (...path: string[]) => {
      const file = join(folder, ...path, "foster");
      await Deno.mkdir(join(file, ".."), { recursive: true });
      await Deno.writeTextFile(file, "");
      return file;
    };
    const versioned = await program("Cellar", VERSION, "bin");
    const plain = await program("lib");
    const other = await program("other");
    await Deno.mkdir(join(folder, "bin"));
    await Deno.symlink(versioned, join(folder, "bin", "foster"));
    const { files, system } = await createDenoHost();
    const pathOf = (folders: string[], file: string) => {
      const env = { get: (name: string) => name === "PATH" ? folders.join(":") : undefined, all: () => ({}) };
      return lastingPath({ env, files, system }, file);
    };
    const folders = [join(other, ".."), join(versioned, ".."), "", "bin", join(folder, "bin")];
    assertEquals(await pathOf(folders, versioned), join(folder, "bin", "foster"));
    assertEquals(await pathOf(folders, plain), plain);
    assertEquals(await pathOf(folders.slice(0, -1), versioned), versioned);
    await Deno.remove(folder, { recursive: true });
  },
);

async function attachTwo(program: string): Promise<string> {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: "/state" } });
  Object.assign(host.engine, { selfCommand: [program] });
  const servers = { a: { command: "a" }, b: { command: "b" } };
  host.files.put("/home/user/.mcp.json", JSON.stringify({ mcpServers: servers }));
  host.files.put("/home/user/.claude.json", "{}");
  assertEquals(await runFoster(host, ["attach", "claude-code", "--dry-run"]), 0);
  return host.terminal.errText;
}

Deno.test("attach says once, for all servers, that the project's own file wins", async () => {
  const said = await attachTwo("/usr/bin/foster");
  assertEquals(said.match(/wins over/g)?.length, 1);
  assertMatch(
    said,
    /^ {2}! a, b: the entry of that name in \/home\/user\/\.mcp\.json wins over foster's here/m,
  );
  assert(!said.includes("caches"));
});

Deno.test("attach says where the foster that it writes lies in a cache", async () => {
  const program = "/home/user/.npm/_npx/1/node_modules/foster-mcp-linux-x64/foster";
  assertMatch(
    await attachTwo(program),
    new RegExp(`^${program} lies where caches are cleaned: install foster`, "m"),
  );
});
