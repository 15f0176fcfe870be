/**
 * Whether what a start has to write down can be written, asked before anything is ended for it.
 *
 * @module
 */
import { type Host, HostError } from "../host/host.ts";
import { FILE_MODE } from "../registry/paths.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { Explanation } from "./row.ts";

/** Record, draft, overrides, events and a session file together are smaller. */
const NEEDED_BYTES = 48 * 1024;

/** Why nothing can be written into the server's folder, null where it can. For the holder of its lock. */
export async function whyNoRoom(
  host: Pick<Host, "files">,
  folder: ServerFolder,
): Promise<Explanation | null> {
  // Named as a draft of the record: one that is left behind goes with the other drafts.
  const path = `${folder.paths.record}.room.draft`;
  try {
    await host.files.remove(path);
    await host.files.writeNew(path, " ".repeat(NEEDED_BYTES), FILE_MODE);
    return null;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const isFull = error.code === "no_space";
    return {
      message: isFull ? `the disk is full (${folder.paths.folder})` : error.message,
      hint: isFull
        ? "free some space, then try again"
        : `foster must be able to write to ${folder.paths.folder}`,
    };
  } finally {
    await host.files.remove(path).catch(() => {});
  }
}
