import { assertEquals } from "@std/assert";
import { type UserFolders, userFolders } from "../../src/base/user_folders.ts";

const ownOnLinux = {
  home: "/h",
  config: "/h/.config",
  settings: "/h/.config",
  state: "/h/.local/state",
  cache: "/h/.cache",
};
const xdg = { XDG_CONFIG_HOME: "/c", XDG_STATE_HOME: "/s", XDG_CACHE_HOME: "/k" };

const cases: {
  what: string;
  system: "linux" | "darwin" | "windows";
  env: Record<string, string>;
  folders: UserFolders;
}[] = [
  { what: "the usual ones on Linux", system: "linux", env: { HOME: "/h" }, folders: ownOnLinux },
  {
    what: "those of XDG variables",
    system: "linux",
    env: { HOME: "/h", ...xdg },
    folders: { home: "/h", config: "/c", settings: "/c", state: "/s", cache: "/k" },
  },
  {
    what: "no relative and no empty one",
    system: "linux",
    env: { HOME: "/h", XDG_CONFIG_HOME: "c", XDG_STATE_HOME: "./s", XDG_CACHE_HOME: "" },
    folders: ownOnLinux,
  },
  {
    what: "nothing of a home that is not known",
    system: "linux",
    env: { HOME: "" },
    folders: { home: null, config: null, settings: null, state: ".local/state", cache: ".cache" },
  },
  {
    what: "macOS' own, and .config for tools",
    system: "darwin",
    env: { HOME: "/h" },
    folders: {
      home: "/h",
      config: "/h/.config",
      settings: "/h/Library/Application Support",
      state: "/h/Library/Application Support",
      cache: "/h/.cache",
    },
  },
  {
    what: "Windows' own",
    system: "windows",
    env: { USERPROFILE: "/u", HOME: "/msys", APPDATA: "/roaming", LOCALAPPDATA: "/local" },
    folders: { home: "/u", config: "/roaming", settings: "/roaming", state: "/local", cache: "/local" },
  },
  {
    what: "Windows' usual ones where it does not name them",
    system: "windows",
    env: { USERPROFILE: "/u" },
    folders: {
      home: "/u",
      config: "/u/AppData/Roaming",
      settings: "/u/AppData/Roaming",
      state: "/u/AppData/Local",
      cache: "/u/AppData/Local",
    },
  },
];
for (const { what, system, env, folders } of cases) {
  Deno.test(`userFolders() takes ${what}`, () => {
    assertEquals(userFolders({ system, env: { get: (name) => env[name] } }), folders);
  });
}
