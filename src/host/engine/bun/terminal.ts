/**
 * The terminal under Bun. Its `process.stdout` takes longer to make than the rest of a short verb: nothing here asks
 * for it before a terminal is really there.
 *
 * @module
 */
import * as fs from "node:fs";
import process from "node:process";
import { toFile, writeFully } from "./streams.ts";
import type { Interrupt, System, Terminal } from "../../host.ts";

interface BunInput {
  readonly stdin: { stream(): ReadableStream<Uint8Array> };
}

export class BunTerminal implements Terminal {
  readonly #system: System;
  #stdin: ReadableStream<Uint8Array> | null = null;
  #stdout: WritableStream<Uint8Array> | null = null;

  constructor(system: System) {
    this.#system = system;
  }

  get stdinIsTerminal(): boolean {
    return this.#isTerminal(0);
  }

  get stdoutIsTerminal(): boolean {
    return this.#isTerminal(1);
  }

  get stderrIsTerminal(): boolean {
    return this.#isTerminal(2);
  }

  columns(): number {
    return this.stdoutIsTerminal ? process.stdout.columns || 80 : 80;
  }

  rows(): number {
    return this.stdoutIsTerminal ? process.stdout.rows || 24 : 24;
  }

  out(text: string): void {
    writeFully(1, text);
  }

  err(text: string): void {
    writeFully(2, text);
  }

  get stdin(): ReadableStream<Uint8Array> {
    // Node's process.stdin, when its reader is slow, now and then runs in circles at the end of the input.
    const { stdin } = Bun as typeof Bun & BunInput;
    return this.#stdin ??= stdin.stream();
  }

  get stdout(): WritableStream<Uint8Array> {
    return this.#stdout ??= toFile(1);
  }

  setRaw(on: boolean): void {
    if (this.stdinIsTerminal) process.stdin.setRawMode(on);
  }

  onInterrupt(signals: readonly Interrupt[], handler: (signal: Interrupt) => void): () => void {
    const known = signals.filter((signal) => this.#system !== "windows" || signal !== "SIGHUP");
    const listeners = known.map((signal) => ({ signal, listener: () => handler(signal) }));
    for (const { signal, listener } of listeners) process.on(signal, listener);
    return () => {
      for (const { signal, listener } of listeners) process.off(signal, listener);
    };
  }

  /** Pipes, files and /dev/null are told apart without the terminal module, which is slow to load. */
  #isTerminal(file: number): boolean {
    if (this.#system !== "windows" && !mayBeTerminal(file)) return false;
    return process.getBuiltinModule("node:tty").isatty(file);
  }
}

function mayBeTerminal(file: number): boolean {
  try {
    const found = fs.fstatSync(file);
    return found.isCharacterDevice() && found.rdev !== fs.statSync("/dev/null").rdev;
  } catch {
    // Closed by whoever started foster.
    return false;
  }
}
