/**
 * A client of foster's own: is the server what it should be, and what does it call itself?
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt, OLDER_REVISIONS } from "../mcp/revisions/messages.ts";
import type { ClientSide, Destination } from "../relay/client_side.ts";
import { parseLine } from "../relay/message.ts";
import { VERSION } from "../version.ts";
import type { Conversation } from "./conversation.ts";
import { ListWalk } from "./discovery.ts";

export type CheckResult =
  | {
    kind: "ready";
    server: { name: string | null; version: string | null; protocol: string | null };
    tools: string[];
    /** The tools whole, as the server lists them. */
    listed: Fields[];
  }
  | {
    kind: "failed";
    outcome: "crashed" | "no_command" | "not_ready" | "usage";
    message: string;
    hint: string;
  };

/** In the older revision: a server of the newer one refuses that at once, and is then asked in its own. */
const INITIALIZE = {
  protocolVersion: OLDER_REVISIONS[0],
  capabilities: {},
  clientInfo: { name: "foster", version: VERSION },
};

export class CheckClient implements ClientSide {
  readonly #waiting = new Map<number, (answer: Fields) => void>();
  #next = 1;

  write(line: Uint8Array, to: Destination): void {
    if (to.kind !== "answer") return;
    const value = parseLine(line);
    this.#waiting.get(to.exchange)?.(isObject(value) ? value : {});
    this.#waiting.delete(to.exchange);
  }

  async check(server: Conversation): Promise<CheckResult> {
    const initialized = await this.#ask(server, "initialize", INITIALIZE);
    if (!isObject(initialized.result)) return failed(initialized);
    const { result } = initialized;
    const notice = { jsonrpc: "2.0", method: "notifications/initialized" };
    await server.receive(this.#next++, new TextEncoder().encode(JSON.stringify(notice)), [notice]);
    const hasTools = isObject(fieldsAt(result, "capabilities").tools);
    const listed = hasTools ? await this.#tools(server) : [];
    if (!Array.isArray(listed)) return listed;
    const text = (value: unknown) => typeof value === "string" ? value : null;
    const info = fieldsAt(result, "serverInfo");
    const shown = {
      name: text(info.name),
      version: text(info.version),
      protocol: text(result.protocolVersion),
    };
    return { kind: "ready", server: shown, tools: namesOf(listed), listed };
  }

  /** Asks a server that is known for its tools: one whose process is gone gets another with that. */
  async checkAgain(
    server: Conversation,
    before: Extract<CheckResult, { kind: "ready" }>,
  ): Promise<CheckResult> {
    if (before.tools.length === 0) {
      const answer = await this.#ask(server, "ping", {});
      return isObject(answer.result) ? before : failed(answer);
    }
    const listed = await this.#tools(server);
    return Array.isArray(listed) ? { ...before, tools: namesOf(listed), listed } : listed;
  }

  async #tools(server: Conversation): Promise<Fields[] | Extract<CheckResult, { kind: "failed" }>> {
    const tools: Fields[] = [];
    const walk = new ListWalk("tools/list");
    let params: Fields = {};
    while (true) {
      const listed = await this.#ask(server, "tools/list", params);
      if (!isObject(listed.result)) return failed(listed);
      const step = walk.add(listed.result);
      if (step.kind === "whole") {
        tools.push(...step.items.filter((tool) => isObject(tool)));
      }
      if (step.kind !== "more") return tools;
      params = { cursor: step.cursor };
    }
  }

  async #ask(server: Conversation, method: string, params: Fields): Promise<Fields> {
    const exchange = this.#next++;
    const message = { jsonrpc: "2.0", id: exchange, method, params };
    const answered = new Promise<Fields>((resolve) => this.#waiting.set(exchange, resolve));
    await server.receive(exchange, new TextEncoder().encode(JSON.stringify(message)), [message]);
    return await answered;
  }
}

function failed({ error }: Fields): Extract<CheckResult, { kind: "failed" }> {
  const message = isObject(error) && typeof error.message === "string" ? error.message : "it gave no answer";
  return { kind: "failed", outcome: "crashed", message, hint: "" };
}

function namesOf(tools: readonly Fields[]): string[] {
  return tools.map(({ name }) => String(name));
}
