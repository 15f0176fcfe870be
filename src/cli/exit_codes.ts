import { type OutcomeKind, OUTCOMES } from "../lifecycle/row.ts";

type OutcomeExits = { readonly [Kind in OutcomeKind]: (typeof OUTCOMES)[Kind]["exit"] };

/** What a verb's end means to the caller. */
export const EXIT = {
  ...Object.fromEntries(Object.entries(OUTCOMES).map(([kind, { exit }]) => [kind, exit])) as OutcomeExits,
  /** A bug in foster. */
  bug: 70,
  hungUp: 129,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT] | number;
