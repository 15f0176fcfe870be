import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { lastingPath } from "../../src/cli/attached.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { VERSION } from "../../src/version.ts";
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
