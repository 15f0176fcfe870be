/**
 * What foster knows of an MCP client: where its settings are, how they are written, and what an entry looks like.
 *
 * @module
 */
import { join } from "node:path";
import { upward } from "../base/upward.ts";
import { userFolders } from "../base/user_folders.ts";
import { type Host, withinReach } from "../host/host.ts";
import type { ReferenceForm } from "./references.ts";

export type ClientId =
  | "claude-code"
  | "claude-desktop"
  | "cursor"
  | "vscode"
  | "zed"
  | "codex"
  | "gemini"
  | "windsurf"
  | "opencode"
  | "cline"
  | "continue"
  | "goose"
  | "copilot";

/** `local`: of one project, and in the user's own settings. */
export type Scope = "user" | "local" | "project";

/** `json`: no comments; `json_with_comments`: comments and no trailing commas; `jsonc`: both. */
export type Syntax = "json" | "json_with_comments" | "jsonc" | "toml" | "yaml";

/** A place where a client keeps servers; the file need not be there. */
export interface SettingsFile {
  path: string;
  scope: Scope;
  syntax: Syntax;
  /** Keys that lead to the object, or the list, of servers. */
  at: readonly string[];
  /** Whether the servers are a list of objects with a `name`. */
  isList?: boolean;
  /** The folder that relative paths in it begin at; null where it belongs to no project. */
  project: string | null;
  /** What a new file begins with. */
  skeleton?: string;
  /** Of an earlier version of the client, or a file of somebody else: no new entry goes into it. */
  takesNone?: boolean;
}

/** An entry that starts foster for one server. */
export interface ConnectEntry {
  name: string;
  command: string;
  args: readonly string[];
}

/** An entry that reaches foster's gateway. */
export interface HttpEntry {
  name: string;
  url: string;
  /** The value of the Authorization header. */
  authorization: string;
}

export interface Client {
  readonly id: ClientId;
  readonly title: string;
  /** In the order that the client prefers: of two that are there, the first wins. */
  files(places: Places): Promise<SettingsFile[]> | SettingsFile[];
  /** A folder or file by which the client is known to be here; null: any of its settings files. */
  installed(places: Places): string[];
  readonly references: readonly ReferenceForm[];
  /** The key of an entry's environment variables; `env` where it is left out. */
  readonly envKey?: "environment" | "envs";
  /** Of two entries of one name it takes the project's, not the user's. */
  readonly prefersProject?: true;
  /** What the user said of a project's entry; left out where the client takes every one. */
  approval?(places: Places, name: string): Promise<"approved" | "refused" | "pending">;
  /** The client itself keeps names in lower case. */
  readonly lowerCaseNames?: true;
  /** In a newer form of the file the servers stand one level deeper, under this key. */
  readonly deeperAt?: string;
  /** What a new entry for `foster connect` is, as the client writes it. */
  connectEntry(entry: ConnectEntry): Record<string, unknown>;
  /** `path`: of the settings file. Null where the client can't reach a server over HTTP with a header of its own. */
  readonly httpEntry: ((entry: HttpEntry, path: string) => Record<string, unknown>) | null;
  /** When the client sees what changed, for people. */
  readonly takesEffect: string;
}

/** The files of a client. In the home folder the user's own are no project's as well. */
export async function settingsFiles(client: Client, places: Places): Promise<SettingsFile[]> {
  const files = await client.files(places);
  const own = new Set(files.filter(({ scope }) => scope === "user").map(({ path }) => path));
  return files.filter(({ path, scope }) => scope !== "project" || !own.has(path));
}

/** Where this user's and this project's settings are. */
export interface Places {
  readonly system: Host["system"];
  readonly files: Pick<Host["files"], "list" | "stat" | "realPath" | "readOwn">;
  env(name: string): string | undefined;
  readonly home: string;
  /** Settings of command-line tools, e.g. `~/.config`. */
  readonly config: string;
  /** Settings of desktop programs. */
  readonly settings: string;
  /** Windows' settings that stay on this machine. */
  readonly local: string;
  /** The caller's folder. */
  readonly folder: string;
  /** The main checkout of the folder's git repository, without one the folder itself. */
  readonly root: string;
}

/** Null where the environment does not say where home is. */
export async function placesOf(
  { env, files, system }: Pick<Host, "env" | "files" | "system">,
  folder: string,
): Promise<Places | null> {
  const { home, config, settings, cache } = userFolders({ env, system });
  if (home === null || config === null || settings === null) return null;
  const real = await withinReach(files.realPath(folder), null) ?? folder;
  return {
    system,
    files,
    env: (name) => env.get(name),
    home,
    config,
    settings,
    local: cache,
    folder: real,
    root: await mainCheckout(files, real) ?? real,
  };
}

const POINTER_BYTES = 4096;

/** In a linked worktree `.git` is a file that leads into the main checkout's own. */
async function mainCheckout(files: Places["files"], folder: string): Promise<string | null> {
  for (const each of upward(folder)) {
    const git = join(each, ".git");
    const kind = (await withinReach(files.stat(git), null))?.kind;
    if (kind === "directory") return each;
    if (kind !== "file") continue;
    const read = await withinReach(files.readOwn(git, { offset: 0, limitBytes: POINTER_BYTES }), null);
    const text = read?.kind === "read" ? new TextDecoder().decode(read.bytes) : "";
    return /^gitdir: (.+)[\\/]\.git[\\/]worktrees[\\/][^\\/]+\s*$/.exec(text)?.[1] ?? each;
  }
  return null;
}
