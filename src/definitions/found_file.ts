/**
 * Whether a definition file that was found by searching upward may be read: another user could have put it there.
 *
 * @module
 */
import { type FileStat, type Host, withinReach } from "../host/host.ts";
import { DefinitionError } from "./definition_error.ts";

type FoundHost = Pick<Host, "files" | "system" | "program">;

const OTHERS_MAY_WRITE = 0o002;

/** @throws DefinitionError where it belongs to somebody else, or everybody may write to it */
export async function checkFoundFile(
  host: FoundHost,
  { file, realFile, callerFolder }: { file: string; realFile: string; callerFolder: string },
): Promise<void> {
  const { files, program: { userId } } = host;
  if (host.system === "windows" || userId === null) return;
  const named = await files.stat(file);
  const real = file === realFile ? named : await files.stat(realFile);
  const folder = userId === 0 ? await realStat(host, callerFolder) : null;
  const problem = judgeFoundFile([named, real], { userId, folderOwner: folder?.uid ?? null });
  if (problem === null || !await files.keepsModes(realFile)) return;
  throw new DefinitionError(`${problem}, and it was found by searching upward`, {
    file,
    hint: `--config ${file} reads it all the same: only where you trust its owner`,
  });
}

/** What is wrong with a file by its owner and mode, the link that leads to it included; null for nothing. */
export function judgeFoundFile(
  stats: readonly (Pick<FileStat, "kind" | "uid" | "mode"> | null)[],
  { userId, folderOwner }: { userId: number; folderOwner: number | null },
): string | null {
  for (const stat of stats) {
    if (stat === null || stat.uid === null) continue;
    const trusted = [userId, 0, ...(userId === 0 && folderOwner !== null ? [folderOwner] : [])];
    if (!trusted.includes(stat.uid)) return `belongs to another user (uid ${stat.uid})`;
    // A link's own mode says nothing.
    if (stat.kind !== "link" && stat.mode !== null && (stat.mode & OTHERS_MAY_WRITE) !== 0) {
      return `may be written to by everybody (owner uid ${stat.uid})`;
    }
  }
  return null;
}

async function realStat({ files }: FoundHost, path: string): Promise<FileStat | null> {
  const real = await withinReach(files.realPath(path), null);
  return real === null ? null : await withinReach(files.stat(real), null);
}
