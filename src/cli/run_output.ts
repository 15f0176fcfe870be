/**
 * What `run` prints: what happens to its servers and what they say, each line with the server's name.
 *
 * @module
 */
import { styleText } from "node:util";
import { printable } from "../base/printable.ts";
import { rowDocument } from "../lifecycle/row.ts";
import type { ServerNews } from "../supervisor/supervisor.ts";
import type { Output } from "./output.ts";

const COLORS = ["cyan", "yellow", "green", "magenta", "blue", "red"] as const;

export class RunOutput {
  readonly #output: Output;
  readonly #width: number;
  readonly #names: readonly string[];

  constructor(output: Output, names: readonly string[]) {
    this.#output = output;
    this.#names = names;
    this.#width = Math.max(...names.map((name) => name.length));
  }

  /** Something that foster did or noticed. */
  news(server: { name: string; key: string }, news: ServerNews): void {
    if (news.type === "progress") return this.#output.progress(`${server.name}: ${news.text}`);
    if (this.#output.json) {
      for (const event of jsonOf(news)) this.#output.event({ ...event, name: server.name, key: server.key });
      return;
    }
    this.#line(server.name, this.#output.paint(describe(news), toneOf(news)));
  }

  /** A line that the server printed. */
  log({ name, key }: { name: string; key: string }, line: string): void {
    if (this.#output.json) this.#output.event({ type: "log", name, key, line });
    else this.#line(name, printable(line));
  }

  #line(name: string, text: string): void {
    const label = name.padEnd(this.#width);
    const color = COLORS[this.#names.indexOf(name) % COLORS.length] ?? "cyan";
    const painted = this.#output.options.color ? styleText(color, label, { validateStream: false }) : label;
    this.#output.line(`${painted} | ${text}`);
  }
}

function jsonOf(
  news: Exclude<ServerNews, { type: "progress" }>,
): ({ type: string } & Record<string, unknown>)[] {
  switch (news.type) {
    case "ready":
      return [{ type: "outcome", kind: "done", row: rowDocument(news.row) }, {
        ...news,
        row: rowDocument(news.row),
      }];
    case "start_failed":
      return [{ type: "start_failed", row: rowDocument(news.outcome.row) }];
    default:
      return [news];
  }
}

function toneOf(news: ServerNews): "good" | "bad" | "warn" | "dim" {
  switch (news.type) {
    case "ready":
      return "good";
    case "exited":
    case "start_failed":
    case "exhausted":
    case "refused":
    case "problem":
      return "bad";
    case "probe_failed":
    case "restarting":
    case "warning":
      return "warn";
    case "adopted":
    case "stopped":
    case "progress":
      return "dim";
  }
}

function describe(news: Exclude<ServerNews, { type: "progress" }>): string {
  switch (news.type) {
    case "ready":
      return `ready: ${news.row.endpoint} pid ${news.row.pid}` +
        (news.row.startup_path === "" ? "" : ` (${news.row.startup_path})`);
    case "adopted":
      return `another foster restarted it: now pid ${news.pid}`;
    case "probe_failed":
      return `does not answer (${news.misses}): ${news.reason}`;
    case "exited":
      return `ended: ${news.reason}`;
    case "restarting": {
      const wait = news.delay_ms === 0 ? "" : ` in ${news.delay_ms} ms`;
      return `restarting${wait} (${news.attempt}): ${news.reason}`;
    }
    case "start_failed":
      return `did not start: ${news.outcome.row.message}`;
    case "problem":
      return `trouble: ${news.message}`;
    case "warning":
    case "exhausted":
    case "refused":
      return news.message;
    case "stopped":
      return `stopped: ${news.reason}`;
  }
}
