/**
 * Clients of the newer revision in front of one session of an older server.
 *
 * Pure, as {@link OlderClient}. A question of the server parks the call that it belongs to: the client is answered
 * `input_required` with a handle, and its next request with that handle takes the answers to the server and waits for the
 * same call.
 *
 * @module
 */
import { isObject, omit } from "../../base/json.ts";
import {
  CACHEABLE_METHODS,
  CODE,
  ENVELOPE_KEYS,
  errorOf,
  type Fields,
  fieldsAt,
  INPUT_METHODS,
  isRequest,
  isResponse,
  isSameId,
  type Message,
  META,
  NEWER_REVISION,
  type Notification,
  notification,
  OLDER_REVISIONS,
  type Request,
  request,
  type RequestId,
  type Response,
  resultOf,
  sameText,
  type Step,
  withMeta,
} from "./messages.ts";
import { discoveredOf, isTaskOnly, newerBody, newerError, urlElicitations } from "./newer_answers.ts";
import { type Call, ParkedCalls } from "./parked_calls.ts";
import { Subscriptions } from "./subscriptions.ts";

/** Requests that may wait for the session. */
const QUEUE_LIMIT = 1000;
/** How long the server keeps a task's result: longer than anybody waits for it. */
const TASK_TTL_MS = 3_600_000;
/** How long a parked call waits for its answers. */
export const PARKED_LIMIT_MS = 10 * 60_000;

const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/** Requests of the older revision, and of the session below: a newer client has no use for them. */
const NOT_OFFERED: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
]);

/** Notifications of the older revision: each has its own way to newer clients, or none. */
const OF_THE_PROTOCOL =
  /^notifications\/(?:(?:tools|prompts|resources|roots)\/list_changed|resources\/updated|progress|message|cancelled|elicitation\/complete|tasks\/status)$/;

export interface NewerClientOptions {
  /** What the server is told in initialize. Capabilities are those of the clients that share the session. */
  clientInfo: Fields;
  clientCapabilities: Fields;
  /** An unguessable text: it comes back from outside, and names a parked call. */
  newHandle(): string;
  /** How the server took the session. True takes the requests that wait for it: they are not answered with its refusal. */
  onSession?(answer: Response, waiting: readonly { message: Request; exchange: number }[]): boolean;
}

type Leg =
  | { kind: "initialize" }
  | { kind: "ignored" }
  | { kind: "call"; call: Call }
  | { kind: "subscribe"; uri: string };

export class NewerClient {
  readonly #options: NewerClientOptions;
  #nextId = 1;
  #state: "new" | "initializing" | "ready" = "new";
  #queue: { message: Request; exchange: number }[] = [];
  #server: Fields = {};
  #legs = new Map<RequestId, Leg>();
  readonly #parked: ParkedCalls;
  readonly #subscriptions = new Subscriptions({
    subscribe: (uri, step) =>
      void this.#send("resources/subscribe", { uri }, { kind: "subscribe", uri }, step),
    unsubscribe: (uri, step) => void this.#send("resources/unsubscribe", { uri }, { kind: "ignored" }, step),
  });
  #level: string | null = null;
  /** Tools that only run as tasks. */
  readonly #taskTools = new Set<string>();

  constructor(options: NewerClientOptions) {
    this.#options = options;
    this.#parked = new ParkedCalls(options.newHandle);
  }

  /** How many calls wait for a client's answers. */
  get parked(): number {
    return this.#parked.size;
  }

  /** A message of a client; `exchange` names it among all that are open, whatever its JSON-RPC id. */
  fromClient(message: Message, exchange: number): Step {
    const step: Step = { toServer: [], toClient: [] };
    if (isResponse(message)) return step;
    if (!isRequest(message)) {
      if (message.method === "notifications/cancelled") this.#cancelledId(message.params?.requestId, step);
      return step;
    }
    this.#requested(message, exchange, step);
    return step;
  }

  /** A message of the server. `via` is the request on whose stream it came, where the transport says so. */
  fromServer(message: Message, via: RequestId | null = null): Step {
    const step: Step = { toServer: [], toClient: [] };
    if (isResponse(message)) this.#result(message, step);
    else if (isRequest(message)) this.#asked(message, via, step);
    else this.#heard(message, via, step);
    return step;
  }

  /** The client closed the exchange: in the newer revision that cancels it. */
  cancel(exchange: number): Step {
    const step: Step = { toServer: [], toClient: [] };
    this.#cancelExchange(exchange, step);
    return step;
  }

  /** Gives up a parked call whose answers did not come; its handle is unknown from then on. */
  expire(handle: string): Step {
    const step: Step = { toServer: [], toClient: [] };
    const call = this.#parked.find(handle);
    if (call !== undefined && call.exchange === null) this.#abandon(call, step);
    return step;
  }

  #requested(message: Request, exchange: number, step: Step): void {
    const { id, method } = message;
    if (NOT_OFFERED.has(method) || method.startsWith("tasks/")) {
      step.toClient.push({
        message: errorOf(id, CODE.methodNotFound, `${method}: not a method of ${NEWER_REVISION}`),
        exchange,
      });
      return;
    }
    if (this.#state === "ready") return this.#dispatch(message, exchange, step);
    if (this.#queue.length >= QUEUE_LIMIT) {
      const why = `${QUEUE_LIMIT} requests wait for the server's session already: try again later`;
      step.toClient.push({ message: errorOf(id, CODE.internal, why), exchange });
      return;
    }
    this.#queue.push({ message, exchange });
    if (this.#state === "initializing") return;
    this.#state = "initializing";
    this.#send(
      "initialize",
      {
        protocolVersion: OLDER_REVISIONS[0],
        capabilities: this.#options.clientCapabilities,
        clientInfo: this.#options.clientInfo,
      },
      { kind: "initialize" },
      step,
    );
  }

  #dispatch({ id, method, params = {} }: Request, exchange: number, step: Step): void {
    if (method === "server/discover") {
      step.toClient.push({ message: resultOf(id, discoveredOf(this.#server)), exchange });
      return;
    }
    if (method === "subscriptions/listen") {
      const capabilities = fieldsAt(this.#server, "capabilities");
      return this.#subscriptions.listen(id, { params, exchange, capabilities }, step);
    }
    const meta = fieldsAt(params, "_meta");
    const plain = omit(params, "inputResponses", "requestState");
    const own = "_meta" in plain ? withMeta(plain, omit(meta, ...ENVELOPE_KEYS)) : plain;
    const text = sameText({ method, params: omit(own, "_meta") });
    if (params.requestState !== undefined) return this.#retried(id, { params, text, exchange }, step);
    const level = meta[META.logLevel];
    const call: Call = {
      exchange,
      clientId: id,
      method,
      params: own,
      text,
      logLevel: typeof level === "string" && LEVELS.includes(level) ? level : null,
      capabilities: fieldsAt(meta, META.clientCapabilities),
      questions: new Map(),
      handle: null,
      early: null,
      isTask: method === "tools/call" && this.#taskTools.has(String(own.name)),
      taskId: null,
      wireToken: this.#freeToken(fieldsAt(own, "_meta").progressToken),
    };
    this.#raiseLevel(call.logLevel, step);
    this.#sendCall(call, step);
  }

  #sendCall(call: Call, step: Step): void {
    const { method, params, wireToken, isTask } = call;
    const sent = Object.keys(params).length > 0 ? withToken(params, wireToken) : undefined;
    this.#send(method, isTask ? { ...sent, task: { ttl: TASK_TTL_MS } } : sent, { kind: "call", call }, step);
  }

  #freeToken(token: unknown): unknown {
    const isTaken = token !== undefined &&
      this.#openCalls().some(({ wireToken }) => isSameId(wireToken, token));
    return isTaken ? FIRST_OWN_TOKEN + this.#nextId : token;
  }

  #send(method: string, params: Fields | undefined, leg: Leg, step: Step): RequestId {
    const id = this.#nextId++;
    this.#legs.set(id, leg);
    step.toServer.push(request(id, method, params));
    return id;
  }

  /** The level of the session is that of the most talkative request so far: never lowered below another's. */
  #raiseLevel(level: string | null, step: Step): void {
    if (level === null || !isObject(fieldsAt(this.#server, "capabilities").logging)) return;
    if (this.#level !== null && LEVELS.indexOf(level) >= LEVELS.indexOf(this.#level)) return;
    this.#level = level;
    this.#send("logging/setLevel", { level }, { kind: "ignored" }, step);
  }

  #result(message: Response, step: Step): void {
    const leg = this.#legs.get(message.id);
    if (leg === undefined) return;
    this.#legs.delete(message.id);
    switch (leg.kind) {
      case "initialize":
        return this.#initialized(message, step);
      case "subscribe":
        return this.#subscriptions.answered(leg.uri, "result" in message, step);
      case "call":
        if (!this.#goesOn(leg.call, message, step)) this.#finish(leg.call, message, step);
        return;
      case "ignored":
    }
  }

  #initialized(message: Response, step: Step): void {
    const queue = this.#queue;
    this.#queue = [];
    // The next request asks once more.
    if ("error" in message) this.#state = "new";
    const isTaken = this.#options.onSession?.(message, queue) ?? false;
    if ("error" in message) {
      if (isTaken) return;
      for (const { message: { id }, exchange } of queue) {
        const { code, message: why, data } = newerError(message.error);
        step.toClient.push({ message: errorOf(id, code, why, data), exchange });
      }
      return;
    }
    this.#state = "ready";
    this.#server = message.result;
    step.toServer.push(notification("notifications/initialized"));
    for (const each of queue) this.#dispatch(each.message, each.exchange, step);
  }

  /** Whether more has to be asked before there is an answer: a tool that only runs as a task is driven as one. */
  #goesOn(call: Call, message: Response, step: Step): boolean {
    if (call.method !== "tools/call") return false;
    if ("error" in message) {
      // The server says so of such a tool, and has not run it. Without a word of tasks the error may be the tool's own.
      if (message.error.code !== CODE.methodNotFound || !/task/i.test(message.error.message)) return false;
      if (call.isTask || !this.#runsTasks) return false;
      this.#taskTools.add(String(call.params.name));
      call.isTask = true;
      this.#sendCall(call, step);
      return true;
    }
    const { taskId } = fieldsAt(message.result, "task");
    if (!call.isTask || call.taskId !== null || typeof taskId !== "string") return false;
    call.taskId = taskId;
    // It is answered once the task is over; the questions of the task come on its stream.
    this.#send("tasks/result", { taskId }, { kind: "call", call }, step);
    return true;
  }

  get #runsTasks(): boolean {
    const { tools } = fieldsAt(fieldsAt(fieldsAt(this.#server, "capabilities"), "tasks"), "requests");
    return isObject(tools) && isObject(tools.call);
  }

  #finish(call: Call, message: Response, step: Step): void {
    // A process that comes later may use the ids of these questions again: nothing of them is left to be answered.
    this.#parked.closeQuestions(call, step);
    if (call.exchange === null) {
      call.early = message;
      return;
    }
    this.#parked.forget(call);
    step.toClient.push({ message: this.#newer(call, message), exchange: call.exchange });
  }

  #newer(call: Call, message: Response): Response {
    const { clientId, method, capabilities } = call;
    if ("error" in message) {
      const asks = urlElicitations(message.error);
      if (asks !== null && INPUT_METHODS.has(method)) {
        return isObject(fieldsAt(capabilities, "elicitation").url)
          ? resultOf(clientId, { resultType: "input_required", inputRequests: asks })
          : errorOf(clientId, CODE.missingCapability, "The server asks for an elicitation by URL", {
            requiredCapabilities: { elicitation: { url: {} } },
          });
      }
      const { code, message: why, data } = newerError(message.error);
      return errorOf(clientId, code, why, data);
    }
    if (method === "tools/list") this.#noteTaskTools(message.result);
    const body = newerBody(method, message.result, { runsTasks: this.#runsTasks });
    const result: Fields = { ...body, resultType: "complete" };
    return resultOf(
      clientId,
      CACHEABLE_METHODS.has(method) ? { ttlMs: 0, cacheScope: "private", ...result } : result,
    );
  }

  #noteTaskTools({ tools }: Fields): void {
    for (const tool of Array.isArray(tools) ? tools.filter(isObject) : []) {
      if (isTaskOnly(tool)) this.#taskTools.add(String(tool.name));
      else this.#taskTools.delete(String(tool.name));
    }
  }

  // Questions of the server

  #asked(message: Request, via: RequestId | null, step: Step): void {
    const { id, method } = message;
    if (method === "ping") {
      step.toServer.push(resultOf(id, {}));
      return;
    }
    const call = this.#callAsked(via);
    const why = call === null
      ? "no single call that the question could belong to is open"
      : this.#parked.refuses(call, message);
    if (call === null || why !== null) {
      step.toServer.push(errorOf(id, CODE.methodNotFound, `${method} is not answered here: ${why}`));
      return;
    }
    this.#parked.ask(call, message, step);
  }

  /** The call that the server asks about: the one of the stream, else the only one that may be asked back. */
  #callAsked(via: RequestId | null): Call | null {
    if (via !== null) {
      const leg = this.#legs.get(via);
      return leg?.kind === "call" ? leg.call : null;
    }
    const open = this.#openCalls().filter(({ method }) => INPUT_METHODS.has(method));
    return open.length === 1 ? open[0] ?? null : null;
  }

  /** A request with a handle: the answers go to the server, and its exchange waits for the parked call. */
  #retried(
    clientId: RequestId,
    { params, text, exchange }: { params: Fields; text: string; exchange: number },
    step: Step,
  ): void {
    const call = this.#parked.find(params.requestState);
    if (call === undefined || call.exchange !== null || call.text !== text) {
      const why = call === undefined
        ? "unknown or expired; the call may or may not have run. Call again without requestState"
        : "it belongs to another call";
      step.toClient.push({
        message: errorOf(clientId, CODE.invalidParams, `requestState: ${why}`),
        exchange,
      });
      return;
    }
    this.#parked.resume(call, { clientId, exchange, answers: fieldsAt(params, "inputResponses") }, step);
    if (call.early !== null) this.#finish(call, call.early, step);
  }

  /** The server hears that nobody answers, and that the call is not wanted any more. */
  #abandon(call: Call, step: Step): void {
    this.#parked.forget(call);
    this.#parked.closeQuestions(call, step);
    if (call.taskId !== null) this.#send("tasks/cancel", { taskId: call.taskId }, { kind: "ignored" }, step);
    for (const [id, leg] of this.#legs) {
      if (leg.kind !== "call" || leg.call !== call) continue;
      this.#legs.delete(id);
      step.toServer.push(notification("notifications/cancelled", { requestId: id }));
    }
  }

  #cancelledId(clientId: unknown, step: Step): void {
    const open = [
      ...this.#openCalls(),
      ...this.#subscriptions.listens(),
      ...this.#queue.map(({ message: { id }, exchange }) => ({ clientId: id, exchange })),
    ].filter((each) => isSameId(each.clientId, clientId) && each.exchange !== null);
    const [only] = open;
    if (open.length === 1 && only?.exchange !== null && only !== undefined) {
      this.#cancelExchange(only.exchange, step);
      step.cancelled = [only.exchange];
    }
  }

  #cancelExchange(exchange: number, step: Step): void {
    this.#queue = this.#queue.filter((each) => each.exchange !== exchange);
    this.#subscriptions.end(exchange, step);
    for (const leg of [...this.#legs.values()]) {
      if (leg.kind === "call" && leg.call.exchange === exchange) this.#abandon(leg.call, step);
    }
  }

  #heard(message: Notification, via: RequestId | null, step: Step): void {
    const { method, params = {} } = message;
    this.#subscriptions.heard(message, step);
    if (method === "notifications/progress") this.#progress(params, step);
    if (method === "notifications/message") this.#logged(params, via, step);
    if (method === "notifications/cancelled") this.#withdrawn(params.requestId, step);
    // A vendor's message on a call's own stream is that call's; one at large is nobody's in the newer revision.
    const leg = via === null || OF_THE_PROTOCOL.test(method) ? undefined : this.#legs.get(via);
    if (leg?.kind !== "call" || leg.call.exchange === null) return;
    const given = Object.keys(params).length === 0 ? undefined : params;
    step.toClient.push({ message: notification(method, given), exchange: leg.call.exchange });
  }

  #progress(params: Fields, step: Step): void {
    const token = params.progressToken;
    const call = this.#openCalls().find(({ wireToken }) => isSameId(wireToken, token));
    if (call === undefined || call.exchange === null || token === undefined) return;
    const shown = { ...params, progressToken: fieldsAt(call.params, "_meta").progressToken };
    step.toClient.push({ message: notification("notifications/progress", shown), exchange: call.exchange });
  }

  /** A log message names no request: it goes to the one that asked for such, and to nobody where several did. */
  #logged(params: Fields, via: RequestId | null, step: Step): void {
    const leg = via === null ? undefined : this.#legs.get(via);
    const asking = (leg?.kind === "call" ? [leg.call] : this.#openCalls()).filter((call) =>
      call.logLevel !== null
    );
    const [only] = asking;
    if (asking.length !== 1 || only === undefined || only.exchange === null || only.logLevel === null) return;
    if (LEVELS.indexOf(String(params.level)) < LEVELS.indexOf(only.logLevel)) return;
    step.toClient.push({ message: notification("notifications/message", params), exchange: only.exchange });
  }

  /** The server takes a question back. */
  #withdrawn(serverId: unknown, step: Step): void {
    for (const call of this.#openCalls()) this.#parked.withdraw(call, serverId, step);
  }

  #openCalls(): Call[] {
    return [...this.#legs.values()].flatMap((leg) => leg.kind === "call" ? [leg.call] : []);
  }
}

/** Progress tokens of foster's own begin here: plain integers, and unlikely to be a client's. */
const FIRST_OWN_TOKEN = 1_000_000_000;

function withToken(params: Fields, token: unknown): Fields {
  const meta = fieldsAt(params, "_meta");
  return isSameId(meta.progressToken, token)
    ? params
    : { ...params, _meta: { ...meta, progressToken: token } };
}
