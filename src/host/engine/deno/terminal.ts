/**
 * The terminal under Deno.
 *
 * @module
 */
import { outStream, writeError, writeOut } from "./streams.ts";
import type { Interrupt, Terminal } from "../../host.ts";

export class DenoTerminal implements Terminal {
  #stdout: WritableStream<Uint8Array> | null = null;

  get stdinIsTerminal(): boolean {
    return Deno.stdin.isTerminal();
  }

  get stdoutIsTerminal(): boolean {
    return Deno.stdout.isTerminal();
  }

  get stderrIsTerminal(): boolean {
    return Deno.stderr.isTerminal();
  }

  columns(): number {
    return this.#size()?.columns || 80;
  }

  rows(): number {
    return this.#size()?.rows || 24;
  }

  out(text: string): void {
    writeOut(text);
  }

  err(text: string): void {
    writeError(text);
  }

  get stdin(): ReadableStream<Uint8Array> {
    return Deno.stdin.readable;
  }

  get stdout(): WritableStream<Uint8Array> {
    return this.#stdout ??= outStream();
  }

  setRaw(on: boolean): void {
    if (this.stdinIsTerminal) Deno.stdin.setRaw(on);
  }

  onInterrupt(signals: readonly Interrupt[], handler: (signal: Interrupt) => void): () => void {
    const listeners = signals.flatMap((signal) => {
      const known = knownHere(signal);
      return known === null ? [] : [{ known, listener: () => handler(signal) }];
    });
    for (const { known, listener } of listeners) Deno.addSignalListener(known, listener);
    return () => {
      for (const { known, listener } of listeners) Deno.removeSignalListener(known, listener);
    };
  }

  #size(): { columns: number; rows: number } | null {
    // Deno would answer for another of the three standard files.
    return this.stdoutIsTerminal ? Deno.consoleSize() : null;
  }
}

/** Windows has no SIGTERM to listen for; Ctrl+Break is what asks a console program to end. */
function knownHere(signal: Interrupt): Deno.Signal | null {
  if (Deno.build.os !== "windows") return signal;
  switch (signal) {
    case "SIGINT":
      return "SIGINT";
    case "SIGTERM":
      return "SIGBREAK";
    case "SIGHUP":
      return null;
  }
}
