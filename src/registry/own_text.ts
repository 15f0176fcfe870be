/**
 * Reads the small files of the state folder: never through a link, from no pipe, and never more than their bound.
 *
 * @module
 */
import { fileKind } from "../base/text.ts";
import { type Host, HostError } from "../host/host.ts";

/** No file of the state folder is larger: logs, events and caches have their own bounds. */
export const OWN_LIMIT_BYTES = 1024 * 1024;

export type OwnText =
  | { kind: "text"; text: string; modifiedAt: number }
  | { kind: "none" }
  /** `unreadable`: the system did not let it be read, which says nothing of what stands in it. */
  | { kind: "bad"; why: string; unreadable?: HostError };

export interface OwnTextLimits {
  limitBytes?: number;
  /** The user that the state folder belongs to; a file of another user is not trusted. Null asks nothing. */
  ownerUid?: number | null;
}

export async function readOwnText(
  { files }: Pick<Host, "files">,
  path: string,
  { limitBytes = OWN_LIMIT_BYTES, ownerUid = null }: OwnTextLimits = {},
): Promise<OwnText> {
  try {
    const read = await files.readOwn(path, { offset: 0, limitBytes });
    switch (read.kind) {
      case "none":
        return read;
      case "odd":
        return { kind: "bad", why: `it is a ${read.what}` };
      case "read": {
        const { uid, sizeBytes, bytes, modifiedAt } = read;
        if (ownerUid !== null && uid !== null && uid !== ownerUid) {
          return { kind: "bad", why: `it belongs to another user (${uid})` };
        }
        if (sizeBytes > limitBytes) return { kind: "bad", why: `it is ${sizeBytes} bytes large` };
        return { kind: "text", text: new TextDecoder().decode(bytes), modifiedAt };
      }
    }
  } catch (error) {
    if (error instanceof HostError) return { kind: "bad", why: error.message, unreadable: error };
    throw error;
  }
}

/** As {@link readOwnText}; null where there is none, or none that can be trusted. @throws HostError where it can't be read */
export async function ownTextOrNull(
  host: Pick<Host, "files">,
  path: string,
  limits?: OwnTextLimits,
): Promise<{ text: string; modifiedAt: number } | null> {
  const file = await readOwnText(host, path, limits);
  if (file.kind === "bad" && file.unreadable !== undefined) throw file.unreadable;
  return file.kind === "text" ? file : null;
}

/** Before something is opened for writing: a link would lead elsewhere, a pipe would wait. @throws HostError `failed` */
export async function refuseOdd({ files }: Pick<Host, "files">, path: string): Promise<void> {
  const kind = (await files.stat(path))?.kind ?? "file";
  if (kind !== "file") {
    throw new HostError("failed", `Cannot use ${path}: it is a ${fileKind(kind)}, not a file`);
  }
}
