/**
 * One child process of a test, with its output line by line.
 *
 * @module
 */

export interface Finished {
  /** As a shell would say it: 128 and the signal's number where a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

type Waiter = () => void;

/** Collects what a stream says and lets tests wait for it. */
class Output {
  text = "";
  ended = false;
  readonly done: Promise<void>;
  readonly #waiters = new Set<Waiter>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.done = this.#collect(stream);
  }

  /** Resolves when reading may go on. */
  #held: PromiseWithResolvers<void> | null = null;

  hold(isHeld: boolean): void {
    if (isHeld) return void (this.#held ??= Promise.withResolvers());
    this.#held?.resolve();
    this.#held = null;
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      await this.#held?.promise;
      this.text += decoder.decode(chunk, { stream: true });
      for (const wake of this.#waiters) wake();
    }
    this.ended = true;
    for (const wake of this.#waiters) wake();
  }

  /** The first whole line that matches. @throws where it does not come */
  async line(pattern: RegExp, timeoutMs: number): Promise<string> {
    const endsAt = performance.now() + timeoutMs;
    while (true) {
      const found = this.text.split("\n").slice(0, -1).find((line) => pattern.test(line));
      if (found !== undefined) return found;
      const leftMs = endsAt - performance.now();
      if (this.ended || leftMs <= 0) throw new Error(`no line like ${pattern}, only:\n${this.text}`);
      await this.#change(leftMs);
    }
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiters.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiters.add(wake);
    });
  }
}

/** For what never comes or ends. It is long, since a slow machine takes long for what comes. */
export const LIMIT_MS = 90_000;

export class Running {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | null;
  readonly #stdout: Output;
  readonly #stderr: Output;
  #ended = false;

  constructor(
    command: string,
    args: readonly string[],
    options: { cwd: string; env: Record<string, string>; stdin?: boolean },
  ) {
    this.#child = new Deno.Command(command, {
      args: [...args],
      cwd: options.cwd,
      env: options.env,
      clearEnv: true,
      stdin: options.stdin === true ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.#stdin = options.stdin === true ? this.#child.stdin.getWriter() : null;
    this.#stdout = new Output(this.#child.stdout);
    this.#stderr = new Output(this.#child.stderr);
    this.#child.status.then(() => this.#ended = true);
  }

  get stdout(): string {
    return this.#stdout.text;
  }

  get stderr(): string {
    return this.#stderr.text;
  }

  /** Writes to its standard input, which it must have been given. */
  async write(text: string): Promise<void> {
    if (this.#stdin === null) throw new Error("it has no standard input");
    await this.#stdin.write(new TextEncoder().encode(text));
  }

  /** Ends its standard input. */
  async closeInput(): Promise<void> {
    await this.#stdin?.close();
  }

  /** Stops reading its standard output, or goes on. */
  holdOutput(isHeld: boolean): void {
    this.#stdout.hold(isHeld);
  }

  async stdoutLine(pattern: RegExp, timeoutMs = LIMIT_MS): Promise<string> {
    return await this.#stdout.line(pattern, timeoutMs);
  }

  async stderrLine(pattern: RegExp, timeoutMs = LIMIT_MS): Promise<string> {
    return await this.#stderr.line(pattern, timeoutMs);
  }

  /** False where it has ended already. */
  kill(signal: Deno.Signal): boolean {
    if (this.#ended) return false;
    try {
      this.#child.kill(signal);
      return true;
    } catch (error) {
      // It ended just now, and nobody was told yet.
      if (error instanceof TypeError) return false;
      throw error;
    }
  }

  /** Waits for its end and for the end of its output. @throws where it takes longer: it is then ended by force */
  async finish(timeoutMs = LIMIT_MS): Promise<Finished> {
    this.holdOutput(false);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), timeoutMs));
    const ended = Promise.all([this.#child.status, this.#stdout.done, this.#stderr.done]);
    try {
      const result = await Promise.race([ended, late]);
      if (result === "late") {
        throw new Error(`still there after ${timeoutMs} ms; it said:\n${this.stdout}\n${this.stderr}`);
      }
      const [status] = result;
      return { code: status.code, stdout: this.stdout, stderr: this.stderr };
    } finally {
      clearTimeout(timer);
      if (this.kill("SIGKILL")) await ended;
    }
  }

  /** Ends it if it still runs, and lets go of its streams. */
  async end(): Promise<void> {
    this.holdOutput(false);
    this.kill("SIGKILL");
    await this.#stdin?.abort().catch(() => {});
    await Promise.all([this.#child.status, this.#stdout.done, this.#stderr.done]);
  }
}
