/**
 * The live table on a terminal: looks, draws, takes keys, and gives the terminal back as it was.
 *
 * @module
 */
import { oneLine } from "../../base/printable.ts";
import { stopServer } from "../../lifecycle/stop/down.ts";
import { lastLinesOf } from "../../registry/log_reader.ts";
import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import type { World } from "../../lifecycle/world.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { recordIn } from "../../registry/store.ts";
import { UsageError } from "../args.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { describeFailure } from "../problems.ts";
import { keysOf, press, type TopDeed, type TopState } from "./keys.ts";
import type { TopRow, TopSampler } from "./sample.ts";
import { isStdioServer, restartStdio, restServer } from "../stdio_servers.ts";
import { tableLines } from "./view.ts";
import type { Context } from "../verb.ts";
import { worldOf } from "../worlds.ts";

// The alternate screen keeps what stood on the terminal before.
const OPEN = "\x1b[?1049h\x1b[?25l";
const CLOSE = "\x1b[?25h\x1b[?1049l";
const HELP = "↑↓ choose   r restart   s stop   l log   q quit";

/** Shows the table until the user quits. @throws the signal's reason when it is aborted */
export async function showTop(
  context: Context,
  sampler: TopSampler,
  { intervalMs, find }: { intervalMs: number; find: Find },
): Promise<ExitCode> {
  const screen = new Screen(context, sampler, find);
  return await screen.show(intervalMs);
}

/** The definition of a key, null where it is not in scope. */
type Find = (key: string) => ServerDefinition | null;

class Screen {
  readonly #context: Context;
  readonly #sampler: TopSampler;
  readonly #find: Find;
  readonly #over = new AbortController();
  #state: TopState = { mode: { kind: "table" }, selected: 0 };
  #rows: TopRow[] = [];
  #log: string[] = [];
  #message = "";
  /** What a key started and what is not over yet. */
  #deed: Promise<void> | null = null;

  constructor(context: Context, sampler: TopSampler, find: Find) {
    this.#context = context;
    this.#sampler = sampler;
    this.#find = find;
  }

  async show(intervalMs: number): Promise<ExitCode> {
    const { terminal } = this.#context.host;
    const { signal } = this.#context;
    const reader = terminal.stdinIsTerminal ? terminal.stdin.getReader() : null;
    const interrupted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    signal.throwIfAborted();
    const looking = this.#look(intervalMs);
    try {
      terminal.setRaw(true);
      terminal.out(OPEN);
      const ends: Promise<ExitCode>[] = [interrupted, looking];
      if (reader !== null) ends.push(this.#keys(reader));
      return await Promise.race(ends);
    } finally {
      this.#over.abort();
      terminal.out(CLOSE);
      terminal.setRaw(false);
      // Whoever reads next must not lose a key to a read that is still waiting.
      void reader?.cancel().catch(() => {});
      await looking.catch(() => {});
      await this.#sampler.close();
      // A restart is not left halfway; an interruption ends it by itself.
      await this.#deed;
    }
  }

  async #look(intervalMs: number): Promise<ExitCode> {
    const { clock } = this.#context.host;
    const { signal } = this.#over;
    while (!signal.aborted) {
      const rows = await this.#sampler.sample(signal);
      if (signal.aborted) break;
      this.#rows = rows;
      this.#state.selected = Math.max(0, Math.min(this.#state.selected, rows.length - 1));
      await this.#readLog();
      this.#draw();
      await clock.sleep(intervalMs, signal).catch(() => {});
    }
    return EXIT.done;
  }

  async #keys(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ExitCode> {
    const decoder = new TextDecoder();
    while (true) {
      const { done, value } = await reader.read();
      // The terminal is gone.
      if (done) return EXIT.done;
      for (const key of keysOf(decoder.decode(value, { stream: true }))) {
        const { state, deed } = press(this.#state, key, this.#rows.length);
        this.#state = state;
        if (deed === "quit") return EXIT.done;
        if (deed === "interrupt") return EXIT.interrupted;
        this.#do(deed);
      }
      await this.#readLog();
      this.#draw();
    }
  }

  /** Starts the deed and lets the table go on; one at a time. */
  #do(deed: Exclude<TopDeed, "quit" | "interrupt">): void {
    const row = this.#rows[this.#state.selected];
    if (deed === "none" || row === undefined) return;
    if (this.#deed !== null) {
      this.#message = "one thing at a time: the last one is not over yet";
      return;
    }
    this.#message = `${row.name}: ${deed === "stop" ? "stopping" : "restarting"}`;
    const done = deed === "stop" ? this.#stop(row) : this.#restart(row);
    this.#deed = done.then(
      ({ row: { name, state, message } }) => this.#say(`${name}: ${message === "" ? state : message}`),
      (error: unknown) => this.#say(`${row.name}: ${describeFailure(error, false).message}`),
    ).finally(() => this.#deed = null);
  }

  async #restart({ name, key }: TopRow): Promise<Outcome> {
    const definition = this.#find(key);
    if (definition === null) {
      throw new UsageError(`"${name}" comes from a definition that is not in scope here`);
    }
    if (definition.transport === "stdio") {
      return await restartStdio(this.#world(), definition, { timeoutMs: null });
    }
    return await startServer(this.#world(), definition, { ...PLAIN_START, restart: "yes" });
  }

  async #stop({ name, key }: TopRow): Promise<Outcome> {
    const definition = this.#find(key);
    const record = recordIn(await this.#context.state.server(key).read());
    if (await isStdioServer(this.#context, { key, definition, record })) {
      return await restServer(this.#world(), { name, key, definition }, { stays: false });
    }
    return await stopServer(this.#world(), { name, key, definition, named: true, handoff: false });
  }

  /** What is being done is said below the table. */
  #world(): World {
    return {
      ...worldOf(this.#context),
      progress: (name, text) => this.#say(`${name}: ${text}`),
      warn: (text) => this.#say(text),
    };
  }

  #say(text: string): void {
    this.#message = text;
    this.#draw();
  }

  async #readLog(): Promise<void> {
    const row = this.#rows[this.#state.selected];
    if (this.#state.mode.kind !== "log" || row === undefined) return;
    const { host, state } = this.#context;
    const room = Math.max(1, host.terminal.rows() - 2);
    this.#log = (await lastLinesOf(host, state.server(row.key).paths.log, { count: room })).lines;
  }

  #draw(): void {
    if (this.#over.signal.aborted) return;
    const { host: { terminal }, output } = this.#context;
    const lines = this.#lines(terminal.columns()).slice(0, terminal.rows());
    // Each line is cleared behind its text, then all below: nothing flickers.
    terminal.out("\x1b[H" + lines.map((line) => `${output.shown(line)}\x1b[K`).join("\r\n") + "\x1b[J");
  }

  #lines(columns: number): string[] {
    const { output, host } = this.#context;
    const dim = (text: string) => output.paint(text.slice(0, columns), "dim");
    const row = this.#rows[this.#state.selected];
    switch (this.#state.mode.kind) {
      case "log":
        return [
          dim(`log of ${row?.name ?? "-"}   any key goes back`),
          ...this.#log.map((line) => oneLine(line).slice(0, columns)),
        ];
      case "confirm_stop":
      case "table": {
        const asking = this.#state.mode.kind === "confirm_stop";
        const table = tableLines(this.#rows, {
          columns,
          selected: this.#state.selected,
          now: host.clock.now(),
          paint: (text, tone) => output.paint(text, tone),
        });
        const nothing = this.#rows.length === 0 ? ["No servers. foster up NAME starts one."] : [];
        const said = asking ? `stop ${row?.name ?? "-"}? y stops it, any other key does not` : this.#message;
        return [
          ...table,
          ...nothing,
          "",
          oneLine(said).replaceAll(/\s+/g, " ").slice(0, columns),
          dim(HELP),
        ];
      }
    }
  }
}
