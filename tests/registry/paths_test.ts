import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { stateFolderPath } from "../../src/registry/paths.ts";
import { StateFolderError } from "../../src/registry/safe_folder.ts";
import type { System } from "../../src/host/host.ts";
import { FakeHost } from "../host/fake_host.ts";

function pathOf(host: FakeHost, flag: string | null = null): string {
  return stateFolderPath(host, { flag, callerFolder: () => "/project" });
}

const CASES: { name: string; system?: System; env: Record<string, string>; flag?: string; path: string }[] = [
  { name: "the flag before all else", env: { FOSTER_STATE_DIR: "/env", HOME: "/h" }, flag: "/f", path: "/f" },
  { name: "FOSTER_STATE_DIR without the flag", env: { FOSTER_STATE_DIR: "/env", HOME: "/h" }, path: "/env" },
  {
    name: "a relative flag from the caller's folder",
    env: { HOME: "/h" },
    flag: ".foster",
    path: "/project/.foster",
  },
  {
    name: "a relative FOSTER_STATE_DIR from the caller's folder",
    env: { FOSTER_STATE_DIR: "../state" },
    path: "/state",
  },
  { name: "XDG_STATE_HOME on Linux", env: { XDG_STATE_HOME: "/x", HOME: "/h" }, path: "/x/foster" },
  { name: "~/.local/state on Linux", env: { HOME: "/h" }, path: "/h/.local/state/foster" },
  {
    name: "the usual place when XDG_STATE_HOME is empty",
    env: { XDG_STATE_HOME: "", HOME: "/h" },
    path: "/h/.local/state/foster",
  },
  {
    name: "Application Support on macOS",
    system: "darwin",
    env: { HOME: "/h", XDG_STATE_HOME: "/x" },
    path: "/h/Library/Application Support/foster",
  },
];
for (const { name, system = "linux", env, flag = null, path } of CASES) {
  Deno.test(`stateFolderPath() takes ${name}`, () =>
    assertEquals(pathOf(new FakeHost({ system, env }), flag), path));
}

Deno.test("stateFolderPath() takes LOCALAPPDATA on Windows", () => {
  const host = new FakeHost({ system: "windows", env: { LOCALAPPDATA: "/local" } });
  assertEquals(pathOf(host), "/local/foster");
});

for (
  const [env, message] of [
    [{}, "HOME is not set"],
    [{ HOME: "" }, "HOME is not set"],
    [{ HOME: "home/user" }, 'HOME is not an absolute path: "home/user"'],
  ] as const
) {
  Deno.test(`stateFolderPath() says so when HOME is ${JSON.stringify(env)}`, () => {
    const error = assertThrows(() => pathOf(new FakeHost({ env })), StateFolderError, message);
    assertStringIncludes(error.hint, "--state-dir");
  });
}
