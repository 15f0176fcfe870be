/**
 * Command lines that people are told to type.
 *
 * @module
 */

/** What foster's commands need to be about the same state folder and definitions again. */
export interface ShellHintOptions {
  windows: boolean;
  /** As given on the command line. */
  stateDir: string | null;
  config: string | null;
}

/** Command lines for people to type, quoted for the shell. */
export class ShellHint {
  readonly #options: ShellHintOptions;

  constructor(options: ShellHintOptions) {
    this.#options = options;
  }

  foster(...args: readonly string[]): string {
    const { stateDir, config } = this.#options;
    const words = ["foster", ...args];
    if (stateDir !== null) words.push("--state-dir", stateDir);
    if (config !== null) words.push("--config", config);
    return words.map((word) => this.word(word)).join(" ");
  }

  cleanup(): string {
    return this.foster("doctor", "processes", "--cleanup-stale-records");
  }

  /** Asks a process to end. */
  end(pid: number): string {
    return this.#options.windows ? `taskkill /PID ${pid} /T` : `kill -s TERM ${pid}`;
  }

  /** Shows what a process is. */
  show(pids: readonly number[]): string {
    return this.#options.windows
      ? `tasklist /V /FI "PID eq ${pids[0] ?? 0}"`
      : `ps -o pid,ppid,lstart,args -p ${pids.join(",")}`;
  }

  /** Shows what a file is. */
  look(path: string): string {
    return this.#options.windows ? `dir ${this.word(path)}` : `ls -ld ${this.word(path)}`;
  }

  removeFile(path: string): string {
    return this.#options.windows ? `del ${this.word(path)}` : `rm -f -- ${this.word(path)}`;
  }

  /** One word of a command line, as the shell wants it. */
  word(text: string): string {
    if (/^[\w.+@%,:=/-]+$/.test(text)) return text;
    if (this.#options.windows) return `"${text.replaceAll('"', "")}"`;
    if (!/[^\u0020-\u007e]/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
    return `$'${text.replace(/[\\']/g, "\\$&").replace(/[^\u0020-\u007e]/gu, escaped)}'`;
  }
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000
    ? `\\u${code.toString(16).padStart(4, "0")}`
    : `\\U${code.toString(16).padStart(8, "0")}`;
}
