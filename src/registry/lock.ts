/**
 * The start lock of one server: serialises everything that starts or stops it, over all fosters.
 *
 * @module
 */
import type { FileLock, Host } from "../host/host.ts";
import { refuseOdd } from "./own_text.ts";
import { FILE_MODE } from "./paths.ts";

const RETRY_MS = 20;

export interface LockWait {
  /** How long to wait for another holder; 0 tries once. */
  waitMs: number;
  signal: AbortSignal;
  /** Asked between two tries: true ends the wait without the lock. */
  giveUp?(): Promise<boolean>;
}

/** Waits for the lock. Null when another foster still holds it at the end. @throws the signal's reason */
export async function acquireLock(
  host: Pick<Host, "files" | "clock" | "random">,
  path: string,
  { waitMs, signal, giveUp }: LockWait,
): Promise<FileLock | null> {
  await refuseOdd(host, path);
  const endsAt = host.clock.monotonic() + waitMs;
  while (true) {
    signal.throwIfAborted();
    const lock = await host.files.tryLock(path, FILE_MODE);
    if (lock !== null) return lock;
    const remainingMs = endsAt - host.clock.monotonic();
    if (remainingMs <= 0 || await giveUp?.()) return null;
    // Uneven pauses keep many waiters from trying in step.
    await host.clock.sleep(Math.min(remainingMs, RETRY_MS * (0.5 + host.random.unit())), signal);
  }
}
