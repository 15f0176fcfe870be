import { assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { cacheFolder } from "../../src/cache/cache_folder.ts";
import { HostError, type System } from "../../src/host/host.ts";
import { FakeHost, type FakeHostOptions } from "../host/fake_host.ts";
import { runTool, toolPath } from "./tools.ts";
import { unless } from "../skip.ts";

/** A machine with a uv that answers so. */
function withUv(
  options: FakeHostOptions,
  answer: Parameters<FakeHost["processes"]["helper"]>[1],
): FakeHost {
  const host = new FakeHost({ ...options, env: { PATH: "/bin", ...options.env } });
  host.files.put("/bin/uv", "", 0o755);
  host.processes.helper("/bin/uv", answer);
  return host;
}

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
    assertEquals(await cacheFolder(host, null), folder);
  });
}

Deno.test("cacheFolder() takes what was asked for, from the working folder on, and asks nobody", async () => {
  const host = withUv({}, () => {
    throw new Error("not to be asked");
  });
  assertEquals(await cacheFolder(host, "/there"), "/there");
  assertEquals(await cacheFolder(host, "there"), join(host.program.folder, "there"));
});

Deno.test("cacheFolder() asks uv first, with the user's environment but without UV_NO_CACHE", async () => {
  const env = { HOME: "/h", UV_CACHE_DIR: "/variable", LD_PRELOAD: "x" };
  const host = withUv({ env: { ...env, UV_NO_CACHE: "1" } }, (args, options) => {
    assertEquals(args.slice(0, 2), ["cache", "dir"]);
    assertEquals(options.env, { PATH: "/bin", ...env });
    return { code: 0, stdout: "/said by uv\r\n" };
  });
  assertEquals(await cacheFolder(host, null), "/said by uv");
});

Deno.test("cacheFolder() hands on no loader variables under scoped permissions", async () => {
  const env = { HOME: "/h", LD_LIBRARY_PATH: "/l", DYLD_INSERT_LIBRARIES: "/l" };
  const host = withUv({ env, engine: { fullAccess: false } }, (_args, options) => {
    assertEquals(options.env, { PATH: "/bin", HOME: "/h" });
    return { code: 0, stdout: "/said\n" };
  });
  assertEquals(await cacheFolder(host, null), "/said");
});

for (
  const [what, answer] of [["fails", { code: 2, stdout: "" }], ["says nothing", {
    code: 0,
    stdout: "\n",
  }]] as const
) {
  Deno.test(`cacheFolder() goes by UV_CACHE_DIR where uv ${what}`, async () => {
    const host = withUv({ env: { UV_CACHE_DIR: "/variable" } }, () => answer);
    assertEquals(await cacheFolder(host, null), "/variable");
  });
}

Deno.test("cacheFolder() goes by UV_CACHE_DIR where uv may not be run", async () => {
  const host = withUv({ env: { UV_CACHE_DIR: "/variable" } }, () => {
    throw new HostError("no_permission", "not permitted");
  });
  assertEquals(await cacheFolder(host, null), "/variable");
});

const uv = await toolPath("uv");

Deno.test({
  ...unless(uv === null ? "uv is not installed" : null, "cacheFolder() says what the real uv says"),
  async fn() {
    const machine = await createDenoHost();
    const folder = dirname(uv ?? "");
    const env = {
      get: (name: string) => name === "PATH" ? folder : machine.env.get(name),
      all: () => machine.env.all(),
    };
    const host = { ...machine, env };
    const { stdout } = await runTool(uv ?? "", ["cache", "dir"]);
    assertEquals(await cacheFolder(host, null), stdout.trim());
  },
});
