/** Hears of the steps of a start: for `--verbose`. */
export interface Trace {
  /** A step of this server's start is over. */
  step(server: string, step: string): void;
  /** What is worth to know of it beside its time. */
  note(server: string, text: string): void;
}
