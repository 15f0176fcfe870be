/**
 * Calls that an older server asked back about: each is parked under a handle until its client comes back with the answers.
 *
 * @module
 */
import { isObject, omit } from "../../base/json.ts";
import {
  CODE,
  errorOf,
  type Fields,
  INPUT_METHODS,
  type Request,
  type RequestId,
  type Response,
  resultOf,
  type Step,
} from "./messages.ts";

/** Calls that may be parked at one server at a time. */
const PARKED_LIMIT = 100;

/** Questions of the older revision, with the capability that a client declares for each. */
const QUESTIONS: Readonly<Record<string, string>> = {
  "elicitation/create": "elicitation",
  "sampling/createMessage": "sampling",
  "roots/list": "roots",
};

/** A newer client's call at an older server. */
export interface Call {
  /** Null while the call is parked: nobody waits for an answer on the client's side. */
  exchange: number | null;
  clientId: RequestId;
  method: string;
  params: Fields;
  /** What identifies the call beyond its handle. */
  text: string;
  logLevel: string | null;
  capabilities: Fields;
  /** Questions of the server that the client has not answered, by the key that it knows them by. */
  questions: Map<string, { serverId: RequestId; method: string; params: Fields }>;
  handle: string | null;
  /** What the server answered while the call was parked. */
  early: Response | null;
  /** It runs as a task of the server, as some tools do only: its answer is that of the task. */
  isTask: boolean;
  taskId: string | null;
  /** The progress token that the server knows: the client's own, or another where an open call has that already. */
  wireToken: unknown;
}

export class ParkedCalls {
  readonly #newHandle: () => string;
  readonly #parked = new Map<string, Call>();
  #nextQuestion = 1;

  constructor(newHandle: () => string) {
    this.#newHandle = newHandle;
  }

  get size(): number {
    return this.#parked.size;
  }

  find(handle: unknown): Call | undefined {
    return typeof handle === "string" ? this.#parked.get(handle) : undefined;
  }

  /** Why a question of the server can't be asked about the call; null where it can. */
  refuses(call: Call, { method, params }: Request): string | null {
    const capability = QUESTIONS[method];
    if (capability === undefined) return "it is no question of this revision";
    if (!INPUT_METHODS.has(call.method)) return `${call.method} takes no questions`;
    const declared = call.capabilities[capability];
    if (!isObject(declared)) return `the client did not declare ${capability}`;
    if (params?.mode === "url" && !isObject(declared.url)) {
      return "the client did not declare elicitation.url";
    }
    if (call.handle === null && this.#parked.size >= PARKED_LIMIT) {
      return `${PARKED_LIMIT} calls wait for answers`;
    }
    return null;
  }

  ask(call: Call, { id, method, params = {} }: Request, step: Step): void {
    call.questions.set(`question_${this.#nextQuestion++}`, { serverId: id, method, params });
    this.#park(call, step);
  }

  /** The client came back: its answers go to the server, and what is still unanswered is asked again. */
  resume(
    call: Call,
    { clientId, exchange, answers }: { clientId: RequestId; exchange: number; answers: Fields },
    step: Step,
  ): void {
    this.forget(call);
    call.handle = null;
    call.exchange = exchange;
    call.clientId = clientId;
    for (const [key, { serverId }] of [...call.questions]) {
      const answer = answers[key];
      if (!isObject(answer)) continue;
      call.questions.delete(key);
      step.toServer.push(resultOf(serverId, omit(answer, "resultType")));
    }
    // Each round names everything that the server waits for.
    if (call.early === null) this.#park(call, step);
  }

  /** The server takes a question back. */
  withdraw(call: Call, serverId: unknown, step: Step): void {
    for (const [key, question] of call.questions) {
      if (question.serverId === serverId) call.questions.delete(key);
    }
    this.#park(call, step);
  }

  /** Tells the server that nobody answers. */
  closeQuestions({ questions }: Call, step: Step): void {
    for (const { serverId, method } of questions.values()) {
      step.toServer.push(
        method === "elicitation/create"
          ? resultOf(serverId, { action: "cancel" })
          : errorOf(serverId, CODE.internal, `${method}: the client did not answer`),
      );
    }
    questions.clear();
  }

  forget({ handle }: Call): void {
    if (handle !== null) this.#parked.delete(handle);
  }

  /** Answers a client that waits with the open questions, and keeps the call for its retry. */
  #park(call: Call, step: Step): void {
    if (call.exchange === null || call.questions.size === 0) return;
    this.forget(call);
    call.handle = this.#newHandle();
    this.#parked.set(call.handle, call);
    const inputRequests = Object.fromEntries(
      [...call.questions].map(([key, { method, params }]) => [
        key,
        Object.keys(params).length === 0 ? { method } : { method, params: omit(params, "elicitationId") },
      ]),
    );
    step.toClient.push({
      message: resultOf(call.clientId, {
        resultType: "input_required",
        inputRequests,
        requestState: call.handle,
      }),
      exchange: call.exchange,
    });
    call.exchange = null;
  }
}
