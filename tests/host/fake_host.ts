/**
 * A whole machine in memory, for tests of decisions and policies: time moves when the test says so, processes do what
 * the test says, and every run is the same.
 *
 * @module
 */
import type {
  EngineFacts,
  Environment,
  Host,
  Interrupt,
  Program,
  Random,
  System,
  Terminal,
} from "../../src/host/host.ts";
import { FakeClock } from "./fake_clock.ts";
import { FakeFiles, ownUid } from "./fake_files.ts";
import { FakeNet } from "./fake_net.ts";
import { FakeProcesses } from "./fake_processes.ts";

export { FakeClock, settle } from "./fake_clock.ts";
export { FakeFiles } from "./fake_files.ts";
export { FakeNet } from "./fake_net.ts";
export {
  type FakeChild,
  type FakeHelper,
  type FakeProcess,
  FakeProcesses,
  type FakeProcessInit,
  type FakeProgram,
  type Reaction,
} from "./fake_processes.ts";

export interface FakeHostOptions {
  /** `linux` */
  system?: System;
  /** Instead of a small one with HOME and PATH. */
  env?: Record<string, string>;
  /** Time of day at the beginning. */
  startedAt?: number;
  /** 501; its shell is the pid below, which is a child of init. */
  selfPid?: number;
  engine?: Partial<EngineFacts>;
  /** Variables whose values are no UTF-8: none. */
  undecodable?: readonly string[];
  /** The command line, empty. */
  argv?: readonly string[];
  /** The working folder, which is made: `/home/user`. */
  folder?: string;
}

export class FakeHost implements Host {
  readonly system: System;
  readonly engine: EngineFacts;
  readonly program: Program;
  readonly env: FakeEnvironment;
  /** How often unused memory was given back. */
  releases = 0;
  readonly clock: FakeClock;
  readonly random: FakeRandom = new FakeRandom();
  readonly files: FakeFiles;
  readonly processes: FakeProcesses;
  readonly net: FakeNet;
  readonly terminal: FakeTerminal = new FakeTerminal();

  constructor(options: FakeHostOptions = {}) {
    this.system = options.system ?? "linux";
    this.engine = {
      name: "bun",
      version: "0.0.0",
      standalone: true,
      arch: "x64",
      fullAccess: true,
      selfCommand: ["/usr/bin/foster"],
      ...options.engine,
    };
    this.program = {
      argv: options.argv ?? [],
      folder: options.folder ?? "/home/user",
      undecodable: () => options.undecodable ?? [],
      userId: (options.system ?? "linux") === "windows" ? null : ownUid,
      onUnhandledRejection: () => () => {},
      note: null,
      beginAnew: () => {},
      releaseMemory: () => void this.releases++,
      exit: (code) => {
        throw new FakeExit(code);
      },
    };
    this.env = new FakeEnvironment(options.env ?? { HOME: "/home/user", PATH: "/usr/bin:/bin" });
    this.clock = new FakeClock(options.startedAt);
    this.files = new FakeFiles(() => this.clock.now());
    this.files.putDir(this.program.folder);
    this.processes = new FakeProcesses({
      system: this.system,
      clock: this.clock,
      files: this.files,
      selfPid: options.selfPid ?? 501,
    });
    this.net = new FakeNet(this.processes);
  }
}

/** What `program.exit` throws here, where nothing can end. */
export class FakeExit extends Error {
  constructor(readonly code: number) {
    super(`exit ${code}`);
  }
}

/** The variables are free to change. */
export class FakeEnvironment implements Environment {
  constructor(readonly values: Record<string, string>) {}

  get(name: string): string | undefined {
    return this.values[name];
  }

  all(): Record<string, string> {
    return { ...this.values };
  }
}

/** The same numbers in every run. */
export class FakeRandom implements Random {
  #state = 0x9E3779B9;

  hex(bytes: number): string {
    return Array.from({ length: bytes }, () => Math.floor(this.unit() * 256).toString(16).padStart(2, "0"))
      .join("");
  }

  /** Mulberry32. */
  unit(): number {
    this.#state = (this.#state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Keeps what was written; reads what the test types. */
export class FakeTerminal implements Terminal {
  stdinIsTerminal = false;
  stdoutIsTerminal = false;
  stderrIsTerminal = false;
  width = 80;
  height = 24;
  raw = false;
  outText = "";
  errText = "";
  readonly stdin: ReadableStream<Uint8Array>;
  readonly stdout: WritableStream<Uint8Array>;
  readonly #handlers = new Set<{ signals: readonly Interrupt[]; handler(signal: Interrupt): void }>();
  readonly #typing: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    const typed = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 1000 }, {
      highWaterMark: 1000,
    });
    this.stdin = typed.readable;
    this.#typing = typed.writable.getWriter();
    const decoder = new TextDecoder();
    this.stdout = new WritableStream({
      write: (chunk) => {
        this.outText += decoder.decode(chunk, { stream: true });
      },
    });
  }

  columns(): number {
    return this.width;
  }

  rows(): number {
    return this.height;
  }

  out(text: string): void {
    this.outText += text;
  }

  err(text: string): void {
    this.errText += text;
  }

  setRaw(on: boolean): void {
    this.raw = on;
  }

  onInterrupt(signals: readonly Interrupt[], handler: (signal: Interrupt) => void): () => void {
    const entry = { signals, handler };
    this.#handlers.add(entry);
    return () => void this.#handlers.delete(entry);
  }

  /** Puts text on the standard input. */
  type(text: string): Promise<void> {
    return this.#typing.write(new TextEncoder().encode(text));
  }

  /** Ends the standard input. */
  endInput(): Promise<void> {
    return this.#typing.close();
  }

  /** Sends foster a signal. True if anybody listened. */
  interrupt(signal: Interrupt): boolean {
    const listening = [...this.#handlers].filter((each) => each.signals.includes(signal));
    for (const each of listening) each.handler(signal);
    return listening.length > 0;
  }
}
