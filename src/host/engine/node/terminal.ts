/**
 * The terminal: what both engines share of it, over standard streams that each brings itself.
 *
 * @module
 */
import process from "node:process";
import type { Interrupt, System, Terminal } from "../../host.ts";

/** The standard streams of one engine. */
export interface StandardStreams {
  isTerminal(file: 0 | 1 | 2): boolean;
  /** Asked only where stdout is a terminal. */
  size(): { columns: number; rows: number };
  /** As {@link Terminal.out}. */
  out(text: string): void;
  err(text: string): void;
  /** Made at the first use only. */
  openStdin(): ReadableStream<Uint8Array>;
  openStdout(): WritableStream<Uint8Array>;
  /** Asked only where stdin is a terminal. */
  setRaw(on: boolean): void;
}

export function createTerminal(system: System, streams: StandardStreams): Terminal {
  let stdin: ReadableStream<Uint8Array> | null = null;
  let stdout: WritableStream<Uint8Array> | null = null;
  const size = () => streams.isTerminal(1) ? streams.size() : { columns: 0, rows: 0 };
  return {
    get stdinIsTerminal() {
      return streams.isTerminal(0);
    },
    get stdoutIsTerminal() {
      return streams.isTerminal(1);
    },
    get stderrIsTerminal() {
      return streams.isTerminal(2);
    },
    columns: () => size().columns || 80,
    rows: () => size().rows || 24,
    out: streams.out,
    err: streams.err,
    get stdin() {
      return stdin ??= streams.openStdin();
    },
    get stdout() {
      return stdout ??= streams.openStdout();
    },
    setRaw(on) {
      if (streams.isTerminal(0)) streams.setRaw(on);
    },
    onInterrupt(signals, handler) {
      const listeners = signals.flatMap((signal) => {
        const name = system === "windows" ? windowsNames[signal] : signal;
        return name === null ? [] : [{ name, listener: () => handler(signal) }];
      });
      for (const { name, listener } of listeners) process.on(name, listener);
      return () => {
        for (const { name, listener } of listeners) process.off(name, listener);
      };
    },
  };
}

/** Windows has no SIGTERM to listen for; Ctrl+Break is what asks a console program to end. */
const windowsNames: Record<Interrupt, "SIGINT" | "SIGBREAK" | null> = {
  SIGINT: "SIGINT",
  SIGTERM: "SIGBREAK",
  SIGHUP: null,
};
