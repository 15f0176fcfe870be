/** The states of a server with their fixed numbers. Number 2 is reserved and never given to another state. */
export const STATE_CODES = {
  uninitialized: 0,
  spawning: 1,
  ready: 3,
  incompatible: 4,
  crashed: 5,
  no_command: 6,
  port_excluded: 7,
  foreign_port: 8,
  guarded: 9,
  stopping: 10,
  stopped: 11,
} as const;

export type StateLabel = keyof typeof STATE_CODES;

export function isStateLabel(text: string): text is StateLabel {
  return Object.hasOwn(STATE_CODES, text);
}

/** The label of a number; a number that no state has is shown as `unknown(<n>)`. */
export function stateLabel(code: number): string {
  for (const [label, value] of Object.entries(STATE_CODES)) if (value === code) return label;
  return `unknown(${code})`;
}
