import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { cacheFolder, type FindCommand } from "../../src/cache/cache_folder.ts";
import type { System } from "../../src/host/host.ts";
import { FakeHost } from "../host/fake_host.ts";
import { noCommands } from "./rig.ts";
import { runTool, toolPath } from "./tools.ts";
import { unless } from "../skip.ts";

const findUv: FindCommand = (command) => Promise.resolve({ path: `/bin/${command}` });

const usual: { system: System; env: Record<string, string>; older?: string; folder: string }[] = [
  { system: "linux", env: { HOME: "/h" }, folder: "/h/.cache/uv" },
  { system: "linux", env: { HOME: "/h", XDG_CACHE_HOME: "/x" }, folder: "/x/uv" },
  { system: "linux", env: { HOME: "/h", XDG_CACHE_HOME: "x" }, folder: "/h/.cache/uv" },
  { system: "linux", env: { HOME: "/h", UV_CACHE_DIR: "/chosen" }, folder: "/chosen" },
  { system: "linux", env: { HOME: "/h", UV_CACHE_DIR: "" }, folder: "/h/.cache/uv" },
  { system: "darwin", env: { HOME: "/h" }, folder: "/h/.cache/uv" },
  { system: "darwin", env: { HOME: "/h" }, older: "/h/Library/Caches/uv", folder: "/h/Library/Caches/uv" },
  { system: "windows", env: { LOCALAPPDATA: "/l", USERPROFILE: "/h" }, folder: "/l/uv/cache" },
  { system: "windows", env: { USERPROFILE: "/h" }, folder: "/h/AppData/Local/uv/cache" },
];

for (const { system, env, older, folder } of usual) {
  Deno.test(`cacheFolder() is ${folder} on ${system} with ${JSON.stringify(env)} without uv`, async () => {
    const host = new FakeHost({ system, env });
    if (older !== undefined) host.files.putDir(older);
    assertEquals(await cacheFolder(host, { asked: null, findCommand: noCommands }), folder);
  });
}

Deno.test("cacheFolder() takes what was asked for, from the working folder on, and asks nobody", async () => {
  const host = new FakeHost();
  const never: FindCommand = () => Promise.reject(new Error("not to be asked"));
  assertEquals(await cacheFolder(host, { asked: "/there", findCommand: never }), "/there");
  assertEquals(
    await cacheFolder(host, { asked: "there", findCommand: never }),
    join(host.program.folder, "there"),
  );
});

Deno.test("cacheFolder() asks uv first, with the user's environment but without UV_NO_CACHE", async () => {
  const host = new FakeHost({
    env: { HOME: "/h", UV_CACHE_DIR: "/variable", UV_NO_CACHE: "1", LD_PRELOAD: "x" },
  });
  host.processes.helper("/bin/uv", (args, { env }) => {
    assertEquals(args.slice(0, 2), ["cache", "dir"]);
    assertEquals(env, { HOME: "/h", UV_CACHE_DIR: "/variable", LD_PRELOAD: "x" });
    return { code: 0, stdout: "/said by uv\r\n" };
  });
  assertEquals(await cacheFolder(host, { asked: null, findCommand: findUv }), "/said by uv");
});

Deno.test("cacheFolder() hands on no loader variables under scoped permissions", async () => {
  const env = { HOME: "/h", LD_LIBRARY_PATH: "/l", DYLD_INSERT_LIBRARIES: "/l" };
  const host = new FakeHost({ env, engine: { fullAccess: false } });
  host.processes.helper("/bin/uv", (_args, options) => {
    assertEquals(options.env, { HOME: "/h" });
    return { code: 0, stdout: "/said\n" };
  });
  assertEquals(await cacheFolder(host, { asked: null, findCommand: findUv }), "/said");
});

for (
  const [what, answer] of [["fails", { code: 2, stdout: "" }], ["says nothing", {
    code: 0,
    stdout: "\n",
  }]] as const
) {
  Deno.test(`cacheFolder() goes by UV_CACHE_DIR where uv ${what}`, async () => {
    const host = new FakeHost({ env: { UV_CACHE_DIR: "/variable" } });
    host.processes.helper("/bin/uv", () => answer);
    assertEquals(await cacheFolder(host, { asked: null, findCommand: findUv }), "/variable");
  });
}

Deno.test("cacheFolder() goes by UV_CACHE_DIR where uv may not be run", async () => {
  const host = new FakeHost({ env: { UV_CACHE_DIR: "/variable" } });
  host.processes.refusedPrograms.set("/bin/uv", "not permitted");
  assertEquals(await cacheFolder(host, { asked: null, findCommand: findUv }), "/variable");
});

const uv = await toolPath("uv");

Deno.test({
  ...unless(uv === null ? "uv is not installed" : null, "cacheFolder() says what the real uv says"),
  async fn() {
    const findCommand: FindCommand = () => Promise.resolve({ path: uv ?? "" });
    const host = await createDenoHost();
    const { stdout } = await runTool(uv ?? "", ["cache", "dir"]);
    assertEquals(await cacheFolder(host, { asked: null, findCommand }), stdout.trim());
  },
});
