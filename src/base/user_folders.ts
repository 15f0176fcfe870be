import { isAbsolute, join } from "node:path";

export interface UserFolders {
  /** Null where the environment does not say. */
  home: string | null;
  /** Settings of command-line tools. */
  config: string | null;
  /** Settings of desktop programs: a folder of their own on macOS. */
  settings: string | null;
  state: string;
  cache: string;
}

/** The user's own folders, as the system and the XDG specification name them. */
export function userFolders({ system, env }: {
  system: "linux" | "darwin" | "windows";
  env: { get(name: string): string | undefined };
}): UserFolders {
  const home = env.get(system === "windows" ? "USERPROFILE" : "HOME") || null;
  const below = (...parts: string[]) => home === null ? null : join(home, ...parts);
  // A relative one is void by the XDG specification.
  const xdg = (name: string) => {
    const folder = env.get(name);
    return folder !== undefined && isAbsolute(folder) ? folder : null;
  };
  const config = xdg("XDG_CONFIG_HOME");
  const cache = xdg("XDG_CACHE_HOME") ?? join(home ?? ".", ".cache");
  switch (system) {
    case "linux": {
      const settings = config ?? below(".config");
      const state = xdg("XDG_STATE_HOME") ?? join(home ?? ".", ".local", "state");
      return { home, config: settings, settings, state, cache };
    }
    case "darwin": {
      const settings = below("Library", "Application Support");
      const state = settings ?? join(".", "Library", "Application Support");
      return { home, config: config ?? below(".config"), settings, state, cache };
    }
    case "windows": {
      const roaming = env.get("APPDATA") || below("AppData", "Roaming");
      const local = env.get("LOCALAPPDATA") || join(home ?? ".", "AppData", "Local");
      return { home, config: config ?? roaming, settings: roaming, state: local, cache: local };
    }
  }
}
