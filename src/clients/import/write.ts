import { dirname } from "node:path";
import type { Host } from "../../host/host.ts";

const NEW_FILE_MODE = 0o644;

/** Writes a definition file; the earlier text is kept beside it, and no earlier copy is overwritten. Gives the copy's path. */
export async function writeDefinitionFile(
  { files }: Pick<Host, "files">,
  file: string,
  text: string,
): Promise<string | null> {
  // The file may be a link into a folder of settings: what it leads to is what changes.
  const real = await files.realPath(file);
  if (real === null) {
    await files.makeDir(dirname(file), 0o755);
    await files.writeAtomic(file, text, NEW_FILE_MODE);
    return null;
  }
  const backup = await freeName(files, `${file}.bak`);
  const mode = (await files.stat(real))?.mode ?? NEW_FILE_MODE;
  await files.copy(real, backup);
  await files.writeAtomic(real, text, mode);
  return backup;
}

async function freeName(files: Host["files"], path: string): Promise<string> {
  for (let count = 0;; count++) {
    const free = count === 0 ? path : `${path}.${count}`;
    if (await files.stat(free) === null) return free;
  }
}
