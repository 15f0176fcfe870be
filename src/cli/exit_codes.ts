/** What a verb's end means to the caller. */
export const EXIT = {
  done: 0,
  /** The answer is no: probe failed, doctor found something, not ready, port still held. */
  no: 1,
  /** Wrong usage or a wrong definition. */
  usage: 2,
  crashed: 10,
  noCommand: 11,
  portExcluded: 12,
  incompatible: 13,
  foreignPort: 14,
  notReady: 15,
  refused: 16,
  exhausted: 17,
  guarded: 18,
  /** A bug in foster. */
  bug: 70,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT] | number;
