import { assertEquals } from "@std/assert";
import { stateFolderPath } from "../../src/registry/paths.ts";
import type { System } from "../../src/host/host.ts";
import { FakeHost } from "../host/fake_host.ts";

const CASES: { name: string; system?: System; env: Record<string, string>; flag?: string; path: string }[] = [
  { name: "the flag before all else", env: { FOSTER_STATE_DIR: "/env", HOME: "/h" }, flag: "/f", path: "/f" },
  { name: "FOSTER_STATE_DIR without the flag", env: { FOSTER_STATE_DIR: "/env", HOME: "/h" }, path: "/env" },
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
    assertEquals(stateFolderPath(new FakeHost({ system, env }), flag), path));
}

Deno.test("stateFolderPath() takes LOCALAPPDATA on Windows", () => {
  const host = new FakeHost({ system: "windows", env: { LOCALAPPDATA: "/local" } });
  assertEquals(stateFolderPath(host, null), "/local/foster");
});
