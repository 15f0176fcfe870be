/**
 * A log as its server wrote it, although its beginning has been moved away. Rotation makes a hole of what it moved, so
 * offsets stay what they were; this finds the file in which a byte stands now.
 *
 * @module
 */
import type { Host } from "../host/host.ts";

/** So many older files are kept. */
export const KEPT = 5;

const PAGE_BYTES = 4096;

/** Where the beginning of a log is copied to, before the hole is made that takes it out of the log itself. */
export function movingPath(path: string): string {
  return `${path}.0`;
}

/** Part of a log: the bytes `from`…`to` of it stand in the file, `shift` behind their own offset. */
export interface Segment {
  path: string;
  from: number;
  to: number;
  shift: number;
}

type FilesHost = Pick<Host, "files">;

/** Where the data begins: behind the hole that rotation made, 0 where there is none. */
export async function holeEnd(host: FilesHost, path: string): Promise<number> {
  const first = await host.files.readOwn(path, { offset: 0, limitBytes: 1 });
  if (first.kind !== "read" || first.bytes[0] !== 0) return 0;
  const size = first.sizeBytes;
  const isHole = async (page: number) => !(await pageAt(host, path, page)).some((byte) => byte !== 0);
  let [low, high] = [0, Math.ceil(size / PAGE_BYTES)];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isHole(middle)) low = middle + 1;
    else high = middle;
  }
  const page = await pageAt(host, path, low);
  const within = page.findIndex((byte) => byte !== 0);
  return within === -1 ? size : low * PAGE_BYTES + within;
}

async function pageAt({ files }: FilesHost, path: string, page: number): Promise<Uint8Array> {
  const read = await files.readOwn(path, { offset: page * PAGE_BYTES, limitBytes: PAGE_BYTES });
  return read.kind === "read" ? read.bytes : new Uint8Array();
}

async function sizeOf({ files }: FilesHost, path: string): Promise<number> {
  const stat = await files.stat(path);
  return stat?.kind === "file" ? stat.sizeBytes : 0;
}

/** The newest first. What the hole held is in the older files, as far as those are kept. */
export async function segmentsOf(host: FilesHost, path: string): Promise<Segment[]> {
  let from = await holeEnd(host, path);
  const segments: Segment[] = [{ path, from, to: Math.max(from, await sizeOf(host, path)), shift: 0 }];
  const moved = await isMoved(host, path) ? [movingPath(path)] : [];
  for (const older of [...moved, ...numberedPaths(path)]) {
    if (from === 0) break;
    const size = await sizeOf(host, older);
    // While a rotation renames them one by one, a number is missing between two that are there.
    if (size === 0) continue;
    segments.push({ path: older, from: Math.max(0, from - size), to: from, shift: from - size });
    from -= size;
  }
  return segments;
}

/** Whether what was copied is out of the log already, and so stands nowhere else. */
export async function isMoved(host: FilesHost, path: string): Promise<boolean> {
  const moving = movingPath(path);
  const size = await sizeOf(host, moving);
  if (size === 0) return false;
  const offset = await holeEnd(host, path);
  if (await sizeOf(host, path) - offset < size) return true;
  const head = async (from: string, at: number) => {
    const read = await host.files.readOwn(from, { offset: at, limitBytes: Math.min(size, PAGE_BYTES) });
    return read.kind === "read" ? read.bytes : new Uint8Array();
  };
  const [there, here] = [await head(moving, 0), await head(path, offset)];
  return there.some((byte, index) => byte !== here[index]);
}

/** The older files, the newest first. */
function numberedPaths(path: string): string[] {
  return Array.from({ length: KEPT }, (_, index) => `${path}.${index + 1}`);
}

/** Differs after every step of a rotation: what was read before and after one does not belong together. */
export async function rotationStamp({ files }: FilesHost, path: string): Promise<string> {
  const paths = [movingPath(path), ...numberedPaths(path)];
  const stats = await Promise.all(paths.map((each) => files.stat(each)));
  return stats.map((stat) => stat === null ? "" : `${stat.modifiedAt} ${stat.sizeBytes}`).join();
}

/** Whether the hole was made longer since: it begins with what was read there. */
export async function isPunched({ files }: FilesHost, [newest]: readonly Segment[]): Promise<boolean> {
  if (newest === undefined || newest.from === newest.to) return false;
  const read = await files.readOwn(newest.path, { offset: newest.from, limitBytes: 1 });
  return read.kind === "read" && read.bytes[0] === 0;
}

/** Up to `limitBytes` from the log's own offset; fewer at the end of a file. Empty where nothing stands there. */
export async function readAt(
  { files }: FilesHost,
  segments: readonly Segment[],
  { offset, limitBytes }: { offset: number; limitBytes: number },
): Promise<Uint8Array> {
  const segment = segments.find(({ from, to }) => offset >= from && offset < to);
  if (segment === undefined) return new Uint8Array();
  const read = await files.readOwn(segment.path, {
    offset: offset - segment.shift,
    limitBytes: Math.min(limitBytes, segment.to - offset),
  });
  return read.kind === "read" ? read.bytes : new Uint8Array();
}
