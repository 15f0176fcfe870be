/**
 * A client of foster's own: is the server what it should be, and what does it call itself?
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt, OLDER_REVISIONS } from "../mcp/revisions/messages.ts";
import type { ClientSide, Destination } from "../relay/client_side.ts";
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
  | { kind: "failed"; message: string; hint: string };

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
    const value: unknown = JSON.parse(new TextDecoder().decode(line));
    this.#waiting.get(to.exchange)?.(isObject(value) ? value : {});
    this.#waiting.delete(to.exchange);
  }

  async check(server: Conversation): Promise<CheckResult> {
    const initialized = await this.#ask(server, "initialize", INITIALIZE);
    if (!isObject(initialized.result)) return failed(initialized);
    const { result } = initialized;
    const notice = { jsonrpc: "2.0", method: "notifications/initialized" };
    await server.receive(this.#next++, new TextEncoder().encode(JSON.stringify(notice)), [notice]);
    const whole: Fields[] = [];
    if (isObject(fieldsAt(result, "capabilities").tools)) {
      const walk = new ListWalk("tools/list");
      let params: Fields = {};
      for (let isOver = false; !isOver;) {
        const listed = await this.#ask(server, "tools/list", params);
        if (!isObject(listed.result)) return failed(listed);
        const step = walk.add(listed.result);
        if (step.kind === "whole") {
          whole.push(...step.items.filter((item) => isObject(item)));
        }
        if (step.kind === "more") params = { cursor: step.cursor };
        isOver = step.kind !== "more";
      }
    }
    const text = (value: unknown) => typeof value === "string" ? value : null;
    const info = fieldsAt(result, "serverInfo");
    const shown = {
      name: text(info.name),
      version: text(info.version),
      protocol: text(result.protocolVersion),
    };
    return { kind: "ready", server: shown, tools: whole.map(({ name }) => String(name)), listed: whole };
  }

  async #ask(server: Conversation, method: string, params: Fields): Promise<Fields> {
    const exchange = this.#next++;
    const message = { jsonrpc: "2.0", id: exchange, method, params };
    const answered = new Promise<Fields>((resolve) => this.#waiting.set(exchange, resolve));
    await server.receive(exchange, new TextEncoder().encode(JSON.stringify(message)), [message]);
    return await answered;
  }
}

function failed({ error }: Fields): CheckResult {
  const message = isObject(error) && typeof error.message === "string" ? error.message : "it gave no answer";
  return { kind: "failed", message, hint: "" };
}
