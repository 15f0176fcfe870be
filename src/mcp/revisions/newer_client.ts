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
  coversResource,
  ENVELOPE_KEYS,
  errorOf,
  type Fields,
  fieldsAt,
  INPUT_METHODS,
  isRequest,
  isResponse,
  isSameId,
  LIST_CHANGES,
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
  type RpcError,
  sameText,
  type Step,
  TASKS_EXTENSION,
  textsAt,
  withMeta,
} from "./messages.ts";

/** Requests that may wait for the session. */
const QUEUE_LIMIT = 1000;
/** How long the server keeps a task's result: longer than anybody waits for it. */
const TASK_TTL_MS = 3_600_000;
/** Calls that may be parked at one server at a time. */
const PARKED_LIMIT = 100;
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

const QUESTIONS: Readonly<Record<string, string>> = {
  "elicitation/create": "elicitation",
  "sampling/createMessage": "sampling",
  "roots/list": "roots",
};

export interface NewerClientOptions {
  /** What the server is told in initialize. Capabilities are those of the clients that share the session. */
  clientInfo: Fields;
  clientCapabilities: Fields;
  /** An unguessable text: it comes back from outside, and names a parked call. */
  newHandle(): string;
  /** How the server took the session. True takes the requests that wait for it: they are not answered with its refusal. */
  onSession?(answer: Response, waiting: readonly { message: Request; exchange: number }[]): boolean;
}

interface Call {
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

interface Listen {
  exchange: number;
  clientId: RequestId;
  filter: Fields;
  uris: Set<string>;
  /** Subscriptions that the server has not confirmed yet. */
  missing: number;
  acknowledged: boolean;
}

type Leg =
  | { kind: "initialize" }
  | { kind: "ignored" }
  | { kind: "call"; call: Call }
  | { kind: "subscribe"; uri: string };

interface Subscription {
  listens: Set<Listen>;
  confirmed: boolean;
}

export class NewerClient {
  readonly #options: NewerClientOptions;
  #nextId = 1;
  #nextQuestion = 1;
  #state: "new" | "initializing" | "ready" = "new";
  #queue: { message: Request; exchange: number }[] = [];
  #server: Fields = {};
  #legs = new Map<RequestId, Leg>();
  #parked = new Map<string, Call>();
  #listens = new Map<number, Listen>();
  #subscriptions = new Map<string, Subscription>();
  #level: string | null = null;
  /** Tools that only run as tasks. */
  readonly #taskTools = new Set<string>();

  constructor(options: NewerClientOptions) {
    this.#options = options;
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
    const call = this.#parked.get(handle);
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
      step.toClient.push({ message: resultOf(id, this.#discovered()), exchange });
      return;
    }
    if (method === "subscriptions/listen") return this.#listen(id, params, exchange, step);
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

  #discovered(): Fields {
    const { capabilities, serverInfo, instructions } = this.#server;
    const declared = isObject(capabilities) ? omit(capabilities, "tasks") : {};
    const extensions = omit(fieldsAt(declared, "extensions"), TASKS_EXTENSION);
    if ("extensions" in declared) declared.extensions = extensions;
    const meta = fieldsAt(this.#server, "_meta");
    return {
      supportedVersions: [NEWER_REVISION],
      capabilities: declared,
      ...(instructions === undefined ? {} : { instructions }),
      resultType: "complete",
      ttlMs: 0,
      cacheScope: "private",
      _meta: { ...meta, ...(isObject(serverInfo) ? { [META.serverInfo]: serverInfo } : {}) },
    };
  }

  #result(message: Response, step: Step): void {
    const leg = this.#legs.get(message.id);
    if (leg === undefined) return;
    this.#legs.delete(message.id);
    switch (leg.kind) {
      case "initialize":
        return this.#initialized(message, step);
      case "subscribe":
        return this.#subscribed(leg.uri, "result" in message, step);
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
    this.#closeQuestions(call, step);
    if (call.exchange === null) {
      call.early = message;
      return;
    }
    if (call.handle !== null) this.#parked.delete(call.handle);
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
    const { id, method, params } = message;
    if (method === "ping") {
      step.toServer.push(resultOf(id, {}));
      return;
    }
    const call = this.#callAsked(via);
    const why = call === null
      ? "no single call that the question could belong to is open"
      : this.#refuses(call, message);
    if (call === null || why !== null) {
      step.toServer.push(errorOf(id, CODE.methodNotFound, `${method} is not answered here: ${why}`));
      return;
    }
    call.questions.set(`question_${this.#nextQuestion++}`, { serverId: id, method, params: params ?? {} });
    if (call.exchange !== null) this.#park(call, step);
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

  #refuses(call: Call, { method, params }: Request): string | null {
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

  /** Answers the client with the open questions, and keeps the call for its retry. */
  #park(call: Call, step: Step): void {
    if (call.exchange === null) return;
    if (call.handle !== null) this.#parked.delete(call.handle);
    call.handle = this.#options.newHandle();
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

  /** A request with a handle: the answers go to the server, and its exchange waits for the parked call. */
  #retried(
    clientId: RequestId,
    { params, text, exchange }: { params: Fields; text: string; exchange: number },
    step: Step,
  ): void {
    const call = typeof params.requestState === "string" ? this.#parked.get(params.requestState) : undefined;
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
    this.#parked.delete(call.handle ?? "");
    call.handle = null;
    call.exchange = exchange;
    call.clientId = clientId;
    const answers = fieldsAt(params, "inputResponses");
    for (const [key, { serverId }] of [...call.questions]) {
      const answer = answers[key];
      if (!isObject(answer)) continue;
      call.questions.delete(key);
      step.toServer.push(resultOf(serverId, omit(answer, "resultType")));
    }
    if (call.early !== null) return this.#finish(call, call.early, step);
    // What is still unanswered is asked again: each round names everything that the server waits for.
    if (call.questions.size > 0) this.#park(call, step);
  }

  #closeQuestions({ questions }: Call, step: Step): void {
    for (const { serverId, method } of questions.values()) {
      step.toServer.push(
        method === "elicitation/create"
          ? resultOf(serverId, { action: "cancel" })
          : errorOf(serverId, CODE.internal, `${method}: the client did not answer`),
      );
    }
    questions.clear();
  }

  /** The server hears that nobody answers, and that the call is not wanted any more. */
  #abandon(call: Call, step: Step): void {
    if (call.handle !== null) this.#parked.delete(call.handle);
    this.#closeQuestions(call, step);
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
      ...this.#listens.values(),
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
    const listen = this.#listens.get(exchange);
    if (listen !== undefined) this.#endListen(listen, step);
    for (const leg of [...this.#legs.values()]) {
      if (leg.kind === "call" && leg.call.exchange === exchange) this.#abandon(leg.call, step);
    }
  }

  // Listening

  #listen(clientId: RequestId, params: Fields, exchange: number, step: Step): void {
    const capabilities = fieldsAt(this.#server, "capabilities");
    const asked = fieldsAt(params, "notifications");
    const filter: Fields = {};
    for (const { capability, filter: key } of LIST_CHANGES) {
      if (asked[key] === true && fieldsAt(capabilities, capability).listChanged === true) filter[key] = true;
    }
    const canSubscribe = fieldsAt(capabilities, "resources").subscribe === true;
    const uris = new Set(canSubscribe ? textsAt(asked, "resourceSubscriptions") : []);
    const listen: Listen = { exchange, clientId, filter, uris, missing: 0, acknowledged: false };
    this.#listens.set(exchange, listen);
    for (const uri of uris) {
      const present = this.#subscriptions.get(uri);
      if (present !== undefined) {
        present.listens.add(listen);
        if (!present.confirmed) listen.missing += 1;
        continue;
      }
      this.#subscriptions.set(uri, { listens: new Set([listen]), confirmed: false });
      listen.missing += 1;
      this.#send("resources/subscribe", { uri }, { kind: "subscribe", uri }, step);
    }
    this.#acknowledge(listen, step);
  }

  #subscribed(uri: string, isConfirmed: boolean, step: Step): void {
    const subscription = this.#subscriptions.get(uri);
    if (subscription === undefined) return;
    subscription.confirmed = true;
    if (!isConfirmed) this.#subscriptions.delete(uri);
    for (const listen of subscription.listens) {
      listen.missing -= 1;
      if (!isConfirmed) listen.uris.delete(uri);
      this.#acknowledge(listen, step);
    }
    if (isConfirmed && subscription.listens.size === 0) this.#unsubscribe(uri, step);
  }

  #acknowledge(listen: Listen, step: Step): void {
    if (listen.acknowledged || listen.missing > 0) return;
    listen.acknowledged = true;
    const notifications = {
      ...listen.filter,
      ...(listen.uris.size === 0 ? {} : { resourceSubscriptions: [...listen.uris] }),
    };
    this.#tell(listen, "notifications/subscriptions/acknowledged", { notifications }, step);
  }

  #tell({ clientId, exchange }: Listen, method: string, params: Fields, step: Step): void {
    const meta = { ...fieldsAt(params, "_meta"), [META.subscriptionId]: clientId };
    step.toClient.push({ message: notification(method, { ...params, _meta: meta }), exchange });
  }

  #endListen(listen: Listen, step: Step): void {
    this.#listens.delete(listen.exchange);
    for (const uri of listen.uris) {
      const subscription = this.#subscriptions.get(uri);
      if (subscription === undefined) continue;
      subscription.listens.delete(listen);
      // One that is being made is taken back once the server confirmed it: the last word wins.
      if (subscription.listens.size === 0 && subscription.confirmed) this.#unsubscribe(uri, step);
    }
  }

  #unsubscribe(uri: string, step: Step): void {
    this.#subscriptions.delete(uri);
    this.#send("resources/unsubscribe", { uri }, { kind: "ignored" }, step);
  }

  #heard({ method, params = {} }: Notification, via: RequestId | null, step: Step): void {
    const change = LIST_CHANGES.find((each) => each.method === method);
    for (const listen of this.#listens.values()) {
      if (!listen.acknowledged) continue;
      if (change !== undefined && listen.filter[change.filter] === true) {
        this.#tell(listen, method, params, step);
      }
      if (method === "notifications/resources/updated" && isFor(listen, params.uri)) {
        this.#tell(listen, method, params, step);
      }
    }
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
    for (const leg of this.#legs.values()) {
      if (leg.kind !== "call") continue;
      for (const [key, question] of leg.call.questions) {
        if (question.serverId === serverId) leg.call.questions.delete(key);
      }
      if (leg.call.exchange !== null && leg.call.questions.size > 0) this.#park(leg.call, step);
    }
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

function isFor({ uris }: Listen, updated: unknown): boolean {
  return typeof updated === "string" && [...uris].some((uri) => coversResource(uri, updated));
}

/** A result's fields as the newer revision has them. */
function newerBody(method: string, result: Fields, { runsTasks }: { runsTasks: boolean }): Fields {
  if (method === "tools/call" && !Array.isArray(result.content)) return { ...result, content: [] };
  if (method !== "tools/list" || !Array.isArray(result.tools)) return result;
  // A tool that must be called as a task is driven as one here, where the server takes those.
  const callable = runsTasks ? result.tools : result.tools.filter((tool) => !isTaskOnly(tool));
  return { ...result, tools: callable.map((tool) => isObject(tool) ? omit(tool, "execution") : tool) };
}

function isTaskOnly(tool: unknown): boolean {
  return isObject(tool) && fieldsAt(tool, "execution").taskSupport === "required";
}

function newerError({ code, message, data }: RpcError): RpcError {
  const newer = code === CODE.resourceNotFound
    ? CODE.invalidParams
    : code === CODE.urlElicitationRequired
    ? CODE.internal
    : code;
  return { code: newer, message, data };
}

/** The elicitations by URL of an error -32042, as input requests; null for other errors. */
function urlElicitations({ code, data }: RpcError): Fields | null {
  if (code !== CODE.urlElicitationRequired || !isObject(data) || !Array.isArray(data.elicitations)) {
    return null;
  }
  const asked = data.elicitations.filter(isObject);
  if (asked.length === 0) return null;
  return Object.fromEntries(
    asked.map((params, index) => [
      `elicitation_${index + 1}`,
      { method: "elicitation/create", params: { ...omit(params, "elicitationId"), mode: "url" } },
    ]),
  );
}
