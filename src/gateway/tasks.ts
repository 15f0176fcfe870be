/**
 * Tasks that a server works on beyond the request that began them: known from what clients and server say to each other.
 *
 * Both forms are read: a task under `task` of the result, as 2025-11-25 has it, and the extension of 2026-07-28, whose
 * result is the task.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt, META, TASKS_EXTENSION } from "../mcp/revisions/messages.ts";
import { parseLine } from "../relay/message.ts";

/** A task that nobody asked about for so long keeps nothing alive. */
const TASK_LIMIT_MS = 3_600_000;
const TASKS_LIMIT = 1000;
const NOTICE_LIMIT_BYTES = 64 * 1024;
const OVER: ReadonlySet<unknown> = new Set(["completed", "failed", "cancelled"]);
/** Requests after whose answer their task is over. */
const ENDING: ReadonlySet<unknown> = new Set(["tasks/result", "tasks/cancel"]);

export class OpenTasks {
  /** Monotonic ms of the last word on each, by its id. */
  readonly #open = new Map<string, number>();
  /** Requests whose answer may tell of a task: the id of the one that ends with it, null for none. */
  readonly #watched = new Map<number, string | null>();

  /** How many are open at this moment. */
  count(nowMs: number): number {
    for (const [id, at] of this.#open) if (nowMs - at >= TASK_LIMIT_MS) this.#open.delete(id);
    return this.#open.size;
  }

  /** Notes what a client sends. */
  sent(exchange: number, messages: readonly Fields[]): void {
    for (const { id, method, params } of messages) {
      if (id === undefined || typeof method !== "string" || !isObject(params)) continue;
      const capabilities = fieldsAt(fieldsAt(params, "_meta"), META.clientCapabilities);
      const isAbout = method.startsWith("tasks/") || isObject(params.task) ||
        isObject(fieldsAt(capabilities, "extensions")[TASKS_EXTENSION]);
      if (!isAbout) continue;
      this.#watched.set(
        exchange,
        ENDING.has(method) && typeof params.taskId === "string" ? params.taskId : null,
      );
    }
  }

  /** Notes the answer of an exchange. */
  answered(exchange: number, line: Uint8Array, nowMs: number): void {
    const ending = this.#watched.get(exchange);
    if (ending === undefined) return;
    this.#watched.delete(exchange);
    const answer = parseLine(line);
    const result = isObject(answer) && isObject(answer.result) ? answer.result : null;
    if (result === null) return;
    if (ending !== null) this.#open.delete(ending);
    else this.#note(isObject(result.task) ? result.task : result, nowMs);
  }

  /** No answer comes any more. */
  forget(exchange: number): void {
    this.#watched.delete(exchange);
  }

  /** Notes what the server says unasked. */
  heard(line: Uint8Array, nowMs: number): void {
    if (this.#open.size === 0 || line.length > NOTICE_LIMIT_BYTES) return;
    const message = parseLine(line);
    if (!isObject(message) || !isObject(message.params)) return;
    if (/^notifications\/tasks(?:\/|$)/.test(String(message.method))) this.#note(message.params, nowMs);
  }

  /** The process that worked on them is gone. */
  clear(): void {
    this.#open.clear();
  }

  #note({ taskId, status }: Fields, nowMs: number): void {
    if (typeof taskId !== "string" || typeof status !== "string") return;
    if (OVER.has(status)) this.#open.delete(taskId);
    else if (this.#open.has(taskId) || this.#open.size < TASKS_LIMIT) this.#open.set(taskId, nowMs);
  }
}
