/**
 * Small random texts that the state folder is given once and keeps: its id, and the tokens of gateway and control.
 *
 * @module
 */
import { type Host, HostError } from "../host/host.ts";
import { acquireLock } from "./lock.ts";
import { ownTextOrNull } from "./own_text.ts";
import { FILE_MODE } from "./paths.ts";

const LOCK_WAIT_MS = 5_000;
const LIMIT_BYTES = 1024;

/**
 * The text at `path`, made of `bytes` random bytes where there is none, or only a part of one. The lock keeps two
 * fosters that find it missing or torn from going on with two.
 *
 * @throws HostError
 */
export async function onceMade(
  host: Pick<Host, "files" | "clock" | "random">,
  path: string,
  bytes: number,
): Promise<string> {
  const known = await wholeText(host, path);
  if (known !== null) return known;
  const signal = host.clock.deadline(2 * LOCK_WAIT_MS);
  const lock = await acquireLock(host, `${path}.lock`, { waitMs: LOCK_WAIT_MS, signal });
  if (lock === null) throw new HostError("busy", `another foster holds ${path}.lock`);
  try {
    const theirs = await wholeText(host, path);
    if (theirs !== null) return theirs;
    const made = host.random.hex(bytes);
    await host.files.writeAtomic(path, made + "\n", FILE_MODE);
    return made;
  } finally {
    lock.release();
  }
}

/** As {@link onceMade}, but makes none: null where there is none. */
export async function wholeText(host: Pick<Host, "files">, path: string): Promise<string | null> {
  const file = await ownTextOrNull(host, path, { limitBytes: LIMIT_BYTES });
  // The line end is written last: without it the text is torn.
  return /^([0-9a-f]{16,128})\r?\n$/.exec(file?.text ?? "")?.[1] ?? null;
}
