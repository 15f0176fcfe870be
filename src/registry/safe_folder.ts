/**
 * Whether a folder may be acted upon: a record in it says what foster ends, so nobody else may have written it.
 *
 * @module
 */
import { fileKind } from "../base/text.ts";
import { ShellHint } from "../base/shell_hint.ts";
import type { FileStat, Host } from "../host/host.ts";

/** The state folder, or a server's folder in it, can't be used as it is. */
export class StateFolderError extends Error {
  override readonly name = "StateFolderError";
  readonly code = "state_folder";

  constructor(message: string, readonly hint: string) {
    super(message);
  }
}

const OTHERS_WRITE = 0o002;

/** Why a folder is refused; null where it is fine, or where the system has no owners. */
export function whyUnsafe(
  { kind, mode, uid }: Pick<FileStat, "kind" | "mode" | "uid">,
  userId: number | null,
): "not a folder" | "foreign" | "open" | null {
  if (kind !== "directory") return "not a folder";
  if (userId !== null && uid !== null && uid !== userId) return "foreign";
  return mode !== null && (mode & OTHERS_WRITE) !== 0 ? "open" : null;
}

/**
 * Lets a missing folder pass, since it will be foster's own.
 *
 * @param options.follow the folder itself may be a link, as a user's own choice
 * @throws StateFolderError, HostError
 */
export async function refuseUnsafe(
  { files, program, system }: Pick<Host, "files" | "program" | "system">,
  path: string,
  { follow }: { follow: boolean },
): Promise<void> {
  const real = follow ? await files.realPath(path) : path;
  const stat = real === null ? null : await files.stat(real);
  if (stat === null) return;
  const shell = new ShellHint({ windows: system === "windows", stateDir: null, config: null });
  const elsewhere = "or choose another state folder with --state-dir or FOSTER_STATE_DIR";
  const quoted = JSON.stringify(path);
  switch (whyUnsafe(stat, program.userId)) {
    case null:
      return;
    case "not a folder":
      throw new StateFolderError(
        `${quoted} is not used: it is a ${fileKind(stat.kind)}, not a folder`,
        `${shell.look(path)} shows what it is; move it away, ${elsewhere}`,
      );
    case "foreign":
      throw new StateFolderError(
        `${quoted} belongs to another user (${stat.uid}): foster acts only on what its own user wrote`,
        `run foster as that user, ${elsewhere}`,
      );
    case "open":
      throw new StateFolderError(
        `everybody may write to ${quoted}: foster acts only on what its own user wrote`,
        `look at what is in it, then type chmod go-w ${shell.word(path)}, ${elsewhere}`,
      );
  }
}
