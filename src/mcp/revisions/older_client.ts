/**
 * An older client in front of a server of the newer revision.
 *
 * Pure: messages in, messages out. The caller carries them: it opens a stream for a request where the transport wants one,
 * aborts the request that a `notifications/cancelled` names where that is how the transport cancels, and keeps the
 * deadlines ({@link QUESTION_LIMIT_MS}).
 *
 * @module
 */
import { isObject, omit } from "../../base/json.ts";
import {
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
  type Step,
  TASKS_EXTENSION,
  textsAt,
  withMeta,
} from "./messages.ts";
import { outputOf, wrapSchema } from "./output_schema.ts";

/** How often a server may ask back before the call fails. */
export const ROUND_LIMIT = 8;
/** How long the client may take to answer the questions of one round. */
export const QUESTION_LIMIT_MS = 10 * 60_000;

/** What an older client does without: nothing in the newer revision answers it. */
const UNKNOWN_TO_THE_SERVER = /^(?:tasks\/|server\/discover$|subscriptions\/listen$)/;

/** The capability that a client needs for a question. */
const NEEDED: Readonly<Record<string, string>> = {
  "elicitation/create": "elicitation",
  "sampling/createMessage": "sampling",
  "roots/list": "roots",
};

/** A request of the client that has no answer yet. */
interface Call {
  exchange: number;
  clientId: RequestId;
  method: string;
  params: Fields;
  rounds: number;
}

/** What a request to the server is for. */
type Leg =
  | { kind: "call"; call: Call }
  | { kind: "initialize"; call: Call; asked: string }
  | {
    kind: "listen";
    subscribed: Set<string>;
    waiting: { call: Call; uri: string }[];
    acknowledged: boolean;
  };

type ListenLeg = Extract<Leg, { kind: "listen" }>;

/** Questions of one `input_required`, until the client answered them all. */
interface Round {
  call: Call;
  state: string | undefined;
  missing: Map<RequestId, { key: string; method: string }>;
  /** By the server's keys, which may be any text. */
  answers: Map<string, Fields>;
}

export class OlderClient {
  #nextId = 1;
  #clientInfo: unknown;
  #clientCapabilities: Fields = {};
  #serverCapabilities: Fields = {};
  #logLevel: unknown;
  #legs = new Map<RequestId, Leg>();
  #rounds = new Set<Round>();
  /** The listen whose notifications count, and the one that replaces it. */
  #listen: RequestId | null = null;
  #nextListen: RequestId | null = null;
  #subscribed = new Set<string>();
  #isInitialized = false;

  /** A message of the client; `exchange` names it among all that are open, whatever its JSON-RPC id. */
  fromClient(message: Message, exchange: number): Step {
    const step: Step = { toServer: [], toClient: [] };
    if (isResponse(message)) this.#answered(message, step);
    else if (isRequest(message)) this.#requested(message, exchange, step);
    else this.#notified(message, step);
    return step;
  }

  /** A message of the server. `via` is the request on whose stream it came, where the transport says so. */
  fromServer(message: Message, via: RequestId | null = null): Step {
    const step: Step = { toServer: [], toClient: [] };
    if (isResponse(message)) this.#result(message, step);
    else if (isRequest(message)) {
      // The newer revision has no requests of the server; whoever sends one waits for an answer.
      step.toServer.push(
        errorOf(message.id, CODE.methodNotFound, `${message.method}: not a request of ${NEWER_REVISION}`),
      );
    } else this.#heard(message, via === null ? null : this.#exchangeOf(via), step);
    return step;
  }

  /** Opens the listen again after its stream ended without a word. */
  reopenListen(): Step {
    const step: Step = { toServer: [], toClient: [] };
    this.#listen = null;
    this.#nextListen = null;
    if (this.#isInitialized) this.#openListen(this.#subscribed, [], step);
    return step;
  }

  /** Gives up waiting for the client's answers to the server's questions in this exchange. */
  expire(exchange: number): Step {
    const step: Step = { toServer: [], toClient: [] };
    for (const round of this.#rounds) {
      if (round.call.exchange !== exchange) continue;
      this.#dropRound(round, step);
      this.#fail(round.call, "the client did not answer the server's question in time", step);
    }
    return step;
  }

  /** The exchange of the request that the server answers under this id, null where it is none of the client's. */
  #exchangeOf(serverId: RequestId): number | null {
    const leg = this.#legs.get(serverId);
    return leg === undefined || leg.kind === "listen" ? null : leg.call.exchange;
  }

  #requested({ id, method, params = {} }: Request, exchange: number, step: Step): void {
    const call: Call = { exchange, clientId: id, method, params, rounds: 0 };
    const answer = (result: Fields) => step.toClient.push({ message: resultOf(id, result), exchange });
    switch (method) {
      case "initialize":
        this.#clientInfo = params.clientInfo;
        this.#clientCapabilities = fieldsAt(params, "capabilities");
        return this.#send("server/discover", {}, {
          kind: "initialize",
          call,
          asked: typeof params.protocolVersion === "string" ? params.protocolVersion : "",
        }, step);
      case "ping":
        answer({});
        return;
      case "logging/setLevel":
        this.#logLevel = params.level;
        answer({});
        return;
      case "resources/subscribe":
      case "resources/unsubscribe":
        return this.#subscribe(call, step);
      default:
        if (UNKNOWN_TO_THE_SERVER.test(method)) {
          step.toClient.push({
            message: errorOf(id, CODE.methodNotFound, `${method}: unknown method`),
            exchange,
          });
          return;
        }
        return this.#send(method, method === "tools/call" ? omit(params, "task") : params, {
          kind: "call",
          call,
        }, step);
    }
  }

  #send(method: string, params: Fields, leg: Leg, step: Step): void {
    const id = this.#nextId++;
    this.#legs.set(id, leg);
    const meta = {
      ...omit(fieldsAt(params, "_meta"), ...ENVELOPE_KEYS),
      [META.version]: NEWER_REVISION,
      ...(this.#clientInfo === undefined ? {} : { [META.clientInfo]: this.#clientInfo }),
      [META.clientCapabilities]: this.#clientCapabilities,
      ...(this.#logLevel === undefined ? {} : { [META.logLevel]: this.#logLevel }),
    };
    step.toServer.push(request(id, method, { ...params, _meta: meta }));
  }

  #notified({ method, params = {} }: Notification, step: Step): void {
    if (method === "notifications/initialized") {
      this.#isInitialized = true;
      this.#openListen(this.#subscribed, [], step);
    } else if (method === "notifications/cancelled") {
      this.#cancelled(params.requestId, params.reason, step);
    }
    // All else, roots/list_changed and progress above all, has no counterpart: roots are asked for anew each time.
  }

  /** An id that names two open requests cancels neither. */
  #cancelled(clientId: unknown, reason: unknown, step: Step): void {
    const legs = [...this.#legs].filter(([, leg]) =>
      leg.kind === "call" && isSameId(leg.call.clientId, clientId)
    );
    const rounds = [...this.#rounds].filter(({ call }) => isSameId(call.clientId, clientId));
    if (legs.length + rounds.length !== 1) return;
    for (const [id, leg] of legs) {
      this.#legs.delete(id);
      if (leg.kind === "call") step.cancelled = [leg.call.exchange];
      step.toServer.push(cancel(id, reason));
    }
    for (const round of rounds) {
      this.#dropRound(round, step);
      step.cancelled = [round.call.exchange];
    }
  }

  #subscribe(call: Call, step: Step): void {
    const { uri } = call.params;
    if (typeof uri !== "string") {
      const message = errorOf(call.clientId, CODE.invalidParams, `${call.method} needs "uri"`);
      step.toClient.push({ message, exchange: call.exchange });
      return;
    }
    const wanted = new Set(this.#pendingListen()?.subscribed ?? this.#subscribed);
    if (call.method === "resources/subscribe") wanted.add(uri);
    else wanted.delete(uri);
    const waiting = [...this.#takeWaiting(step), { call, uri }];
    this.#openListen(wanted, waiting, step);
    // Nothing is left to listen for: there is no acknowledgement to wait for either.
    if (this.#nextListen === null) this.#settle(waiting, new Set(), step);
  }

  #pendingListen(): ListenLeg | null {
    const leg = this.#nextListen === null ? undefined : this.#legs.get(this.#nextListen);
    return leg?.kind === "listen" ? leg : null;
  }

  /** Those who wait for a listen that is about to be replaced wait for its successor. */
  #takeWaiting(step: Step): ListenLeg["waiting"] {
    const pending = this.#pendingListen();
    if (pending === null || this.#nextListen === null) return [];
    this.#legs.delete(this.#nextListen);
    step.toServer.push(cancel(this.#nextListen, undefined));
    this.#nextListen = null;
    return pending.waiting;
  }

  /** Opens a listen beside the present one, which ends once the new one is acknowledged: no change is missed. */
  #openListen(subscribed: ReadonlySet<string>, waiting: ListenLeg["waiting"], step: Step): void {
    const notifications: Fields = {};
    for (const { capability, filter } of LIST_CHANGES) {
      if (isObject(this.#serverCapabilities[capability])) notifications[filter] = true;
    }
    if (subscribed.size > 0) notifications.resourceSubscriptions = [...subscribed];
    if (Object.keys(notifications).length === 0) {
      this.#subscribed = new Set(subscribed);
      if (this.#listen !== null) step.toServer.push(cancel(this.#listen, undefined));
      this.#listen = null;
      return;
    }
    this.#nextListen = this.#nextId;
    const leg: ListenLeg = { kind: "listen", subscribed: new Set(subscribed), waiting, acknowledged: false };
    this.#send("subscriptions/listen", { notifications }, leg, step);
  }

  #acknowledged(params: Fields, step: Step): void {
    const named = fieldsAt(params, "_meta")[META.subscriptionId];
    const id = this.#nextListen;
    const leg = this.#pendingListen();
    if (id === null || leg === null || (named !== undefined && named !== id)) return;
    leg.acknowledged = true;
    const honoured = new Set(textsAt(fieldsAt(params, "notifications"), "resourceSubscriptions"));
    const before = this.#listen;
    this.#listen = id;
    this.#nextListen = null;
    this.#subscribed = new Set([...leg.subscribed].filter((uri) => honoured.has(uri)));
    const { waiting } = leg;
    leg.waiting = [];
    this.#settle(waiting, honoured, step);
    if (before !== null && this.#legs.delete(before)) step.toServer.push(cancel(before, undefined));
  }

  #settle(waiting: ListenLeg["waiting"], honoured: ReadonlySet<string>, step: Step): void {
    for (const { call: { clientId, exchange, method }, uri } of waiting) {
      const message = method === "resources/unsubscribe" || honoured.has(uri)
        ? resultOf(clientId, {})
        : errorOf(clientId, CODE.invalidParams, `The server does not report changes of ${uri}`);
      step.toClient.push({ message, exchange });
    }
  }

  #result(message: Response, step: Step): void {
    const leg = this.#legs.get(message.id);
    if (leg === undefined) return;
    this.#legs.delete(message.id);
    if (leg.kind === "listen") return this.#listenEnded(message, leg, step);
    const { exchange, clientId, method } = leg.call;
    if ("error" in message) {
      step.toClient.push({ message: olderError(clientId, message.error), exchange });
    } else if (leg.kind === "initialize") {
      step.toClient.push({
        message: resultOf(clientId, this.#initialized(message.result, leg.asked)),
        exchange,
      });
    } else if (message.result.resultType === "input_required") {
      this.#ask(leg.call, message.result, step);
    } else if ((message.result.resultType ?? "complete") !== "complete") {
      this.#fail(
        leg.call,
        `the server answered with resultType ${JSON.stringify(message.result.resultType)}`,
        step,
      );
    } else {
      step.toClient.push({
        message: resultOf(clientId, older(method, message.result)),
        exchange,
      });
    }
  }

  #initialized(discovered: Fields, asked: string): Fields {
    const meta = fieldsAt(discovered, "_meta");
    this.#serverCapabilities = fieldsAt(discovered, "capabilities");
    const serverInfo = meta[META.serverInfo] ?? discovered.serverInfo;
    return withMeta({
      protocolVersion: OLDER_REVISIONS.includes(asked) ? asked : OLDER_REVISIONS[0],
      capabilities: olderCapabilities(this.#serverCapabilities),
      serverInfo: isObject(serverInfo) ? serverInfo : { name: "unknown", version: "0" },
      ...(discovered.instructions === undefined ? {} : { instructions: discovered.instructions }),
    }, omit(meta, META.serverInfo));
  }

  /** Makes the questions of an `input_required` requests to the client. */
  #ask(call: Call, result: Fields, step: Step): void {
    const questions = Object.entries(fieldsAt(result, "inputRequests"));
    const state = typeof result.requestState === "string" ? result.requestState : undefined;
    if (!INPUT_METHODS.has(call.method)) {
      return this.#fail(call, `the server asked back in ${call.method}`, step);
    }
    if (questions.length === 0 && state === undefined) {
      // To repeat the call without either would run the tool again.
      return this.#fail(call, "the server asked for input without saying which", step);
    }
    call.rounds += 1;
    if (call.rounds > ROUND_LIMIT) {
      return this.#fail(call, `the server asked back more than ${ROUND_LIMIT} times`, step);
    }
    const round: Round = { call, state, missing: new Map(), answers: new Map() };
    const asked: [RequestId, string, Fields][] = [];
    for (const [key, question] of questions) {
      const { method, params } = isObject(question) ? question : { method: undefined, params: undefined };
      const lacking = typeof method === "string" ? this.#lacking(method, params) : "a known kind of question";
      if (typeof method !== "string" || lacking !== null) {
        return this.#fail(
          call,
          `the server's question needs ${lacking}, which the client did not declare`,
          step,
        );
      }
      const id = this.#nextId++;
      round.missing.set(id, { key, method });
      asked.push([id, method, isObject(params) ? params : {}]);
    }
    if (asked.length === 0) return this.#retry(round, step);
    this.#rounds.add(round);
    for (const [id, method, params] of asked) {
      const older =
        method === "elicitation/create" && params.mode === "url" && params.elicitationId === undefined
          ? { ...params, elicitationId: `${id}` }
          : params;
      step.toClient.push({
        message: request(
          id,
          method,
          method === "roots/list" && Object.keys(older).length === 0 ? undefined : older,
        ),
        exchange: call.exchange,
      });
    }
  }

  #lacking(method: string, params: unknown): string | null {
    const capability = NEEDED[method];
    if (capability === undefined) return `an answer to ${method}`;
    const declared = this.#clientCapabilities[capability];
    if (!isObject(declared)) return `the capability ${capability}`;
    if (method !== "elicitation/create" || !isObject(params) || params.mode !== "url") return null;
    return isObject(declared.url) ? null : "the capability elicitation.url";
  }

  #answered(message: Response, step: Step): void {
    for (const round of this.#rounds) {
      const question = round.missing.get(message.id);
      if (question === undefined) continue;
      round.missing.delete(message.id);
      if ("result" in message) round.answers.set(question.key, message.result);
      else if (question.method === "elicitation/create") {
        round.answers.set(question.key, { action: "cancel" });
      } else {
        this.#dropRound(round, step);
        return this.#fail(
          round.call,
          `the client answered ${question.method}: ${message.error.message}`,
          step,
        );
      }
      if (round.missing.size > 0) return;
      this.#rounds.delete(round);
      return this.#retry(round, step);
    }
  }

  /** The same request once more, with the answers, the state byte for byte and a new id. */
  #retry({ call, state, answers }: Round, step: Step): void {
    this.#send(
      call.method,
      {
        ...omit(call.params, "task"),
        ...(answers.size === 0 ? {} : { inputResponses: Object.fromEntries(answers) }),
        ...(state === undefined ? {} : { requestState: state }),
      },
      { kind: "call", call },
      step,
    );
  }

  /** Tells the client of the questions that are still open that nobody waits for their answers. */
  #dropRound(round: Round, step: Step): void {
    this.#rounds.delete(round);
    for (const id of round.missing.keys()) {
      step.toClient.push({ message: cancel(id, undefined), exchange: round.call.exchange });
    }
  }

  #fail({ clientId, exchange, method }: Call, why: string, step: Step): void {
    const text = `${method} failed: ${why}`;
    const message = method === "tools/call"
      ? resultOf(clientId, { content: [{ type: "text", text }], isError: true })
      : errorOf(clientId, CODE.internal, text);
    step.toClient.push({ message, exchange });
  }

  /** A server that ends well closes its listens with success: they are opened again, not reported. */
  #listenEnded(message: Response, leg: ListenLeg, step: Step): void {
    if (this.#listen === message.id) this.#listen = null;
    if (this.#nextListen === message.id) this.#nextListen = null;
    const error = "error" in message
      ? message.error
      : { code: CODE.internal, message: "The server ended the subscription before it confirmed it" };
    for (const { call } of leg.waiting) {
      step.toClient.push({ message: olderError(call.clientId, error), exchange: call.exchange });
    }
  }

  #heard({ method, params = {} }: Notification, via: number | null, step: Step): void {
    if (method === "notifications/subscriptions/acknowledged") return this.#acknowledged(params, step);
    if (method === "notifications/cancelled") {
      const id = params.requestId as RequestId;
      const leg = this.#legs.get(id);
      // The server takes nothing else back: in this revision it has no requests of its own.
      if (leg?.kind !== "listen") return;
      this.#legs.delete(id);
      return this.#listenEnded(resultOf(id, {}), leg, step);
    }
    const meta = fieldsAt(params, "_meta");
    const from = meta[META.subscriptionId];
    // Two listens side by side would say everything twice while one replaces the other.
    if (from !== undefined && from !== this.#listen && this.#listen !== null) return;
    if (method === "notifications/resources/updated" && !this.#isSubscribed(params.uri)) return;
    const plain = "_meta" in params ? withMeta(params, omit(meta, META.subscriptionId)) : params;
    const exchange = method === "notifications/progress" ? this.#exchangeOfToken(params.progressToken) : via;
    if (method === "notifications/progress" && exchange === null) return;
    step.toClient.push({
      message: notification(method, Object.keys(plain).length === 0 ? undefined : plain),
      exchange,
    });
  }

  #isSubscribed(uri: unknown): boolean {
    return typeof uri === "string" && [...this.#subscribed].some((each) => coversResource(each, uri));
  }

  #exchangeOfToken(token: unknown): number | null {
    for (const leg of this.#legs.values()) {
      if (leg.kind === "call" && isSameId(fieldsAt(leg.call.params, "_meta").progressToken, token)) {
        return leg.call.exchange;
      }
    }
    return null;
  }
}

function cancel(requestId: RequestId, reason: unknown): Notification {
  return notification("notifications/cancelled", {
    requestId,
    ...(typeof reason === "string" ? { reason } : {}),
  });
}

/** Takes out what the older revision does not know; vendors' keys stay. */
function older(method: string, result: Fields): Fields {
  const plain = omit(result, "resultType", "ttlMs", "cacheScope");
  const kept = "_meta" in plain
    ? withMeta(plain, omit(fieldsAt(plain, "_meta"), META.serverInfo, META.subscriptionId))
    : plain;
  if (method === "tools/list" && Array.isArray(kept.tools)) {
    return { ...kept, tools: kept.tools.map(olderTool) };
  }
  if (method === "tools/call" && "structuredContent" in kept) {
    const { structuredContent } = kept;
    return isObject(structuredContent) ? kept : { ...kept, structuredContent: { result: structuredContent } };
  }
  return kept;
}

function olderTool(tool: unknown): unknown {
  if (!isObject(tool) || !isObject(tool.outputSchema)) return tool;
  switch (outputOf(tool.outputSchema)) {
    case "object":
      return tool;
    case "other":
      return { ...tool, outputSchema: wrapSchema(tool.outputSchema) };
    case "either":
      return omit(tool, "outputSchema");
  }
}

/** Capabilities as an older client reads them. Change messages are promised for every list: the relay sends them itself. */
function olderCapabilities(capabilities: Fields): Fields {
  const older: Fields = omit(capabilities, "tasks", "extensions");
  const extensions = omit(fieldsAt(capabilities, "extensions"), TASKS_EXTENSION);
  if (Object.keys(extensions).length > 0) older.extensions = extensions;
  for (const { capability } of LIST_CHANGES) {
    const declared = older[capability];
    if (isObject(declared)) older[capability] = { ...declared, listChanged: true };
  }
  return older;
}

/** Codes that concern the hop between two peers of the newer revision say nothing to an older client. */
function olderError(id: RequestId, { code, message, data }: RpcError): Response {
  const isOfTheHop = code <= -32020 && code >= -32099 && code !== CODE.urlElicitationRequired;
  if (!isOfTheHop) return errorOf(id, code, message, data);
  const missing = code === CODE.missingCapability && isObject(data) ? `: ${JSON.stringify(data)}` : "";
  return errorOf(id, CODE.internal, `The server refused the request: ${message}${missing}`);
}
