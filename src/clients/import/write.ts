import { dirname } from "node:path";
import { sha256Hex } from "../../base/hash.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import type { Host } from "../../host/host.ts";
import { readSettings, type SettingsText } from "../settings.ts";

const NEW_FILE_MODE = 0o644;
const BYTE_ORDER_MARK = "\uFEFF";

/**
 * Writes a definition file; the earlier text is kept beside it, and no earlier copy is overwritten. Gives the copy's path.
 *
 * @throws DefinitionError where it is not as it was when the new text was made, HostError
 */
export async function writeDefinitionFile(
  { files }: Pick<Host, "files">,
  file: string,
  { text, before }: { text: string; before: SettingsText | null },
): Promise<string | null> {
  if (before !== null && !before.isUtf8) throw new DefinitionError("is UTF-16: save it as UTF-8", { file });
  const now = await readSettings({ files }, file);
  if ((now && sha256Hex(now.bytes)) !== (before && sha256Hex(before.bytes))) {
    throw new DefinitionError("was changed by another program at the same moment", { file });
  }
  // The file may be a link into a folder of settings: what it leads to is what changes.
  const real = await files.realPath(file);
  if (real === null) {
    if (await files.stat(file) !== null) throw new DefinitionError("is a link to nothing", { file });
    await files.makeDir(dirname(file), 0o755);
    await files.writeAtomic(file, text, NEW_FILE_MODE);
    return null;
  }
  const backup = await freeName(files, `${file}.bak`);
  const mode = (await files.stat(real))?.mode ?? NEW_FILE_MODE;
  await files.copy(real, backup);
  await files.writeAtomic(real, (before?.byteOrderMark ? BYTE_ORDER_MARK : "") + text, mode);
  return backup;
}

async function freeName(files: Host["files"], path: string): Promise<string> {
  for (let count = 0;; count++) {
    const free = count === 0 ? path : `${path}.${count}`;
    if (await files.stat(free) === null) return free;
  }
}
