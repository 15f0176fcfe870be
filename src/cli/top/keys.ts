/**
 * What a key does to the live table.
 *
 * @module
 */

/** What the table shows; `selected` is an index into its rows. */
export type TopMode = { kind: "table" } | { kind: "confirm_stop" } | { kind: "log" };

export interface TopState {
  mode: TopMode;
  selected: number;
}

export type TopDeed = "none" | "quit" | "interrupt" | "restart" | "stop";

export interface Pressed {
  state: TopState;
  deed: TopDeed;
}

/** The keys in one piece of input: a piece may hold several, and some are several bytes long. */
export function keysOf(input: string): string[] {
  // deno-lint-ignore no-control-regex
  return input.match(/\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|[^]/gu) ?? [];
}

/** `count` is the number of rows. */
export function press(state: TopState, key: string, count: number): Pressed {
  const table: TopState = { ...state, mode: { kind: "table" } };
  const stay = (next: TopState): Pressed => ({ state: next, deed: "none" });
  if (key === "\x03") return { state, deed: "interrupt" };
  switch (state.mode.kind) {
    case "log":
      return stay(table);
    case "confirm_stop":
      return { state: table, deed: key === "y" && state.selected < count ? "stop" : "none" };
    case "table":
      return pressInTable(state, key, count);
  }
}

function pressInTable(state: TopState, key: string, count: number): Pressed {
  const moved = (by: number): Pressed => {
    const selected = Math.max(0, Math.min(count - 1, state.selected + by));
    return { state: { ...state, selected }, deed: "none" };
  };
  const there = state.selected < count;
  switch (key) {
    case "q":
      return { state, deed: "quit" };
    case "\x1b[A":
    case "\x1bOA":
    case "k":
      return moved(-1);
    case "\x1b[B":
    case "\x1bOB":
    case "j":
      return moved(1);
    case "r":
      return { state, deed: there ? "restart" : "none" };
    case "s":
      return { state: there ? { ...state, mode: { kind: "confirm_stop" } } : state, deed: "none" };
    case "l":
      return { state: there ? { ...state, mode: { kind: "log" } } : state, deed: "none" };
  }
  return { state, deed: "none" };
}
