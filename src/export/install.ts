/**
 * Puts the file of a service where the user's session looks for it, and takes it away again. A file that foster did not
 * write, or that somebody edited, is left as it is.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { userFolders } from "../base/user_folders.ts";
import { type Host, HostError, type System, withinReach } from "../host/host.ts";
import { ownerOf, SERVICE_NAMES, type ServiceKind } from "./service.ts";

type InstallHost = Pick<Host, "files" | "env" | "system" | "processes" | "program">;

const SYSTEM_OF: Readonly<Record<ServiceKind, System>> = {
  systemd: "linux",
  launchd: "darwin",
  task: "windows",
};
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
const COMMAND_TIMEOUT_MS = 20_000;
const LIMIT_BYTES = 64 * 1024;

export interface ServicePlace {
  file: string;
  /** What makes it start with the session, in order. */
  enable: string[][];
  /** What takes that back, before the file goes. */
  disable: string[][];
}

/** Null where nothing says where the user's own folder is. */
export function servicePlace(
  host: Pick<Host, "env" | "system" | "program">,
  kind: ServiceKind,
): ServicePlace | null {
  const { home, config } = userFolders(host);
  const name = SERVICE_NAMES[kind];
  switch (kind) {
    case "systemd": {
      if (config === null) return null;
      return {
        file: join(config, "systemd", "user", name),
        enable: [["systemctl", "--user", "daemon-reload"], ["systemctl", "--user", "enable", "--now", name]],
        disable: [["systemctl", "--user", "disable", "--now", name]],
      };
    }
    case "launchd": {
      if (home === null) return null;
      const file = join(home, "Library", "LaunchAgents", `${name}.plist`);
      const domain = `gui/${host.program.userId ?? "UID"}`;
      return {
        file,
        enable: [["launchctl", "bootstrap", domain, file]],
        disable: [["launchctl", "bootout", `${domain}/${name}`]],
      };
    }
    case "task": {
      if (config === null) return null;
      const file = join(config, "foster", "foster-task.xml");
      return {
        file,
        enable: [["schtasks", "/Create", "/F", "/TN", name, "/XML", file], ["schtasks", "/Run", "/TN", name]],
        disable: [["schtasks", "/Delete", "/F", "/TN", name]],
      };
    }
  }
}

export function systemOf(kind: ServiceKind): System {
  return SYSTEM_OF[kind];
}

export type WriteResult =
  | { kind: "written" | "unchanged" }
  /** Left alone. */
  | { kind: "not_ours"; why: string };

/** @throws HostError */
export async function writeService(host: InstallHost, file: string, text: string): Promise<WriteResult> {
  const present = await presentService(host, file);
  switch (present.kind) {
    case "edited":
    case "foreign":
      return { kind: "not_ours", why: present.why };
    case "ours":
      if (present.text === text) return { kind: "unchanged" };
      await host.files.writeAtomic(file, text, FILE_MODE);
      return { kind: "written" };
    case "none":
      break;
  }
  await host.files.makeDir(dirname(file), FOLDER_MODE);
  try {
    await host.files.writeNew(file, text, FILE_MODE);
    return { kind: "written" };
  } catch (error) {
    if (!(error instanceof HostError && error.code === "exists")) throw error;
    return { kind: "not_ours", why: `${file} was made by somebody else in this moment` };
  }
}

export type PresentService =
  | { kind: "none" }
  | { kind: "ours"; text: string }
  /** foster's, but for what somebody made of it; or none of foster's. */
  | { kind: "edited" | "foreign"; why: string };

/** What stands in the file's place. @throws HostError */
export async function presentService({ files }: Pick<Host, "files">, file: string): Promise<PresentService> {
  const read = await files.readOwn(file, { offset: 0, limitBytes: LIMIT_BYTES });
  switch (read.kind) {
    case "none":
      return { kind: "none" };
    case "odd":
      return { kind: "foreign", why: `${file} is ${read.what}` };
    case "read": {
      const text = new TextDecoder().decode(read.bytes);
      switch (ownerOf(text)) {
        case "foster":
          return { kind: "ours", text };
        case "edited":
          return { kind: "edited", why: `${file} was edited since foster wrote it` };
        case "foreign":
          return { kind: "foreign", why: `${file} was not written by foster` };
      }
    }
  }
}

/** Whether foster's own file is in its place on this system. */
export async function isServiceInstalled(
  host: Pick<Host, "files" | "env" | "system" | "program">,
): Promise<boolean> {
  const kind = (Object.keys(SYSTEM_OF) as ServiceKind[]).find((each) => SYSTEM_OF[each] === host.system);
  const place = kind === undefined ? null : servicePlace(host, kind);
  if (place === null) return false;
  // One that was edited is still foster's service.
  const present = await withinReach(presentService(host, place.file), null);
  return present?.kind === "ours" || present?.kind === "edited";
}

/** Runs commands of the session's own manager one after the other. Null, or why the first that failed did. */
export async function runManager(host: InstallHost, commands: readonly string[][]): Promise<string | null> {
  for (const [program = "", ...args] of commands) {
    try {
      const { code, stderr } = await host.processes.run(program, args, {
        timeoutMs: COMMAND_TIMEOUT_MS,
        env: sessionEnvironment(host),
      });
      if (code !== 0) return `${program} ${args[0] ?? ""}: ${lastLine(stderr) || `exit code ${code}`}`;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return error.message;
    }
  }
  return null;
}

/** How the manager of this session is reached. */
function sessionEnvironment({ env }: InstallHost): Record<string, string> {
  const names = ["HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME", "SYSTEMROOT"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

function lastLine(text: string): string {
  return text.trim().split(/\r?\n/).at(-1) ?? "";
}
