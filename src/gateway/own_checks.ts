/**
 * Foster's own conversation with a server: the handshake and the tools, for `up`, `probe` and the page.
 *
 * @module
 */
import type { Clock } from "../host/host.ts";
import { CheckClient, type CheckResult } from "./check.ts";
import type { Conversation } from "./conversation.ts";

export interface OwnChecksOptions {
  clock: Pick<Clock, "now" | "sleep">;
  /** The server's, for messages. */
  name: string;
  open(client: CheckClient): Conversation;
  /** Why its last process came to nothing, null where it did not. */
  lastFailure(): CheckResult | null;
  /** Whether its process stays after a check. */
  isPinned(): boolean;
}

interface OwnCheck {
  client: CheckClient;
  conversation: Conversation;
  result: Promise<CheckResult>;
  /** Its process was let go: what it found says nothing of the next. */
  isLetGo: boolean;
}

const NO_CHECK: CheckResult = { kind: "failed", outcome: "crashed", message: "", hint: "" };

function isLate(result: CheckResult): boolean {
  return result.kind === "failed" && result.outcome === "not_ready";
}

export class OwnChecks {
  readonly #options: OwnChecksOptions;
  /** It stays with a server that is pinned. */
  #current: OwnCheck | null = null;
  /** The tools at the last check, and when that was, in ms since the epoch. */
  #tools: { at: number; items: unknown[] } | null = null;

  constructor(options: OwnChecksOptions) {
    this.#options = options;
  }

  get lastTools(): { at: number; items: unknown[] } | null {
    return this.#tools;
  }

  /** Its process is about to be let go: the conversation to be closed, null where there is none. */
  letGo(): Conversation | null {
    const current = this.#current;
    this.#current = null;
    if (current !== null) current.isLetGo = true;
    return current?.conversation ?? null;
  }

  /**
   * The handshake and the tools, by a client of foster's own: brings the server up where it is not there. Those who ask at
   * the same time get one answer, and a pinned server that answered before is only asked for its tools.
   */
  async check(timeoutMs: number): Promise<CheckResult> {
    const before = this.#current;
    if (before !== null) {
      const result = await before.result;
      if (before.isLetGo) return await this.check(timeoutMs);
      if (result.kind === "failed") return result;
      const again = this.#settled(
        before,
        before.client.checkAgain(before.conversation, result),
        { timeoutMs, wasReady: true },
      );
      // A server that does not answer in time is still the one that was ready before.
      before.result = again.then((now) => isLate(now) ? result : now);
      return await again;
    }
    const client = new CheckClient();
    const conversation = this.#options.open(client);
    const check: OwnCheck = { client, conversation, result: Promise.resolve(NO_CHECK), isLetGo: false };
    this.#current = check;
    check.result = this.#settled(check, client.check(conversation), { timeoutMs, wasReady: false });
    return await check.result;
  }

  async #settled(
    check: OwnCheck,
    asked: Promise<CheckResult>,
    { timeoutMs, wasReady }: { timeoutMs: number; wasReady: boolean },
  ): Promise<CheckResult> {
    const { clock, name, isPinned, lastFailure } = this.#options;
    const deadline = new AbortController();
    const late = clock.sleep(timeoutMs, deadline.signal).then((): CheckResult => ({
      kind: "failed",
      outcome: "not_ready",
      message: `"${name}" did not answer within ${timeoutMs} ms${
        wasReady ? "; its process was left as it is" : ""
      }`,
      hint: `foster logs "${name}" shows what it said; --timeout waits longer`,
    }), (): CheckResult => NO_CHECK);
    const answered = asked.then((result): CheckResult => {
      const failure = lastFailure();
      return result.kind === "failed" && failure !== null ? failure : result;
    });
    const result = await Promise.race([answered, late]);
    deadline.abort();
    if (result.kind === "ready") {
      this.#tools = { at: clock.now(), items: result.listed };
    }
    if (wasReady && isLate(result)) return result;
    // A pinned server keeps the process of its last check.
    if (result.kind === "failed" || !isPinned()) {
      if (this.#current === check) this.#current = null;
      await check.conversation.close();
    }
    return result;
  }
}
