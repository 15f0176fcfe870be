/**
 * Several servers as one, for one client of the newer revision: lists merged, names told apart, each request to its owner.
 *
 * @module
 */
import { isObject, omit } from "../base/json.ts";
import type { Clock } from "../host/host.ts";
import {
  CODE,
  coversResource,
  type Fields,
  fieldsAt,
  LIST_CHANGES,
  META,
  NEWER_REVISION,
  textsAt,
} from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { parseLine, withParam } from "../relay/message.ts";
import { VERSION } from "../version.ts";
import { canonicalJson } from "../base/hash.ts";
import type { Conversation } from "./conversation.ts";
import { isListMethod, type ListMethod, LISTS, ListWalk } from "./discovery.ts";
import { lostAnswers } from "./lost.ts";
import { CommonNames, labelsOf } from "./names.ts";

/** One of the servers, as the whole needs it. */
export interface Member {
  readonly key: string;
  readonly name: string;
  /** A conversation in the newer revision. */
  open(client: ClientSide): Conversation;
}

export interface EverythingOptions {
  client: ClientSide;
  clock: Pick<Clock, "sleep">;
  /** The servers at this moment: asked each time. */
  members(): readonly Member[];
}

interface Joined {
  member: Member;
  conversation: Conversation;
}

interface Listen {
  exchange: number;
  id: unknown;
  filter: Fields;
  uris: string[];
  meta: Fields;
  /** Own exchanges at the servers. */
  parts: { joined: Joined; exchange: number }[];
}

/** A server that has not said by then what it has is missing until it does. */
const PATIENCE_MS = 5000;
const FIRST_OWN_ID = 1_500_000_000;
const encoder = new TextEncoder();

type Kind = "tools/list" | "prompts/list";

export class Everything implements Conversation {
  readonly #options: EverythingOptions;
  readonly #joined = new Map<string, Joined>();
  readonly #names: Record<Kind, CommonNames> = {
    "tools/list": new CommonNames(),
    "prompts/list": new CommonNames(),
  };
  /** Who listed a URI first. */
  readonly #uris = new Map<string, string>();
  /** What templates begin with, by their owner. */
  readonly #prefixes = new Map<string, string>();
  /** Requests that are open; `joined` once their server is known. */
  readonly #open = new Map<number, { id: string; joined: Joined | null }>();
  readonly #own = new Map<number, { joined: Joined; resolve(answer: Fields): void }>();
  /** What is being asked of servers: a list that never comes is asked for once at a time. */
  readonly #asking = new Map<string, Promise<Fields>>();
  readonly #listens = new Map<number, Listen>();
  #nextOwn = -1;

  constructor(options: EverythingOptions) {
    this.#options = options;
  }

  async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const [message] = messages;
    if (message === undefined || message.id === undefined || typeof message.method !== "string") return;
    const { id, method } = message;
    const params = isObject(message.params) ? message.params : {};
    const meta = pick(fieldsAt(params, "_meta"));
    if (method === "subscriptions/listen") return await this.#listen(exchange, { id, params, meta });
    const open = { id: JSON.stringify(id), joined: null as Joined | null };
    this.#open.set(exchange, open);
    if (method === "server/discover") return await this.#answer(exchange, id, await this.#discover(meta));
    if (isListMethod(method)) return await this.#answer(exchange, id, await this.#list(method, meta));
    const owner = await this.#ownerOf(method, params, meta);
    if (!this.#open.has(exchange)) return;
    if ("error" in owner) return await this.#fail(exchange, id, owner.error);
    const sent = owner.path === null ? line : withParam(line, owner.path, JSON.stringify(owner.name));
    open.joined = owner.joined;
    await owner.joined.conversation.receive(exchange, sent, [renamed(message, owner)]);
  }

  cancel(exchange: number): void {
    const listen = this.#listens.get(exchange);
    this.#listens.delete(exchange);
    for (const part of listen?.parts ?? []) part.joined.conversation.cancel(part.exchange);
    this.#open.get(exchange)?.joined?.conversation.cancel(exchange);
    this.#open.delete(exchange);
  }

  async finish(limitMs: number): Promise<void> {
    await Promise.all([...this.#joined.values()].map(({ conversation }) => conversation.finish(limitMs)));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#joined.values()].map(({ conversation }) => conversation.close()));
    this.#joined.clear();
  }

  /** Servers came or went: everybody who listens is told that all lists may differ. */
  async noteMembers(): Promise<void> {
    const present = new Set(this.#options.members().map(({ key }) => key));
    for (const [key, joined] of this.#joined) {
      if (present.has(key)) continue;
      this.#joined.delete(key);
      for (const names of Object.values(this.#names)) names.remove(key);
      for (const table of [this.#uris, this.#prefixes]) removeOwner(table, key);
      await this.#lose(joined);
      await joined.conversation.close();
    }
    for (const listen of this.#listens.values()) await this.#extend(listen, new Map());
    for (const { method } of LIST_CHANGES) await this.#tellListens(method, {});
  }

  /** The server was taken away: whoever waits for it is answered. */
  async #lose(gone: Joined): Promise<void> {
    for (const listen of this.#listens.values()) {
      listen.parts = listen.parts.filter(({ joined }) => joined !== gone);
    }
    for (const [exchange, { joined, resolve }] of [...this.#own]) {
      if (joined !== gone) continue;
      this.#own.delete(exchange);
      resolve({});
    }
    for (const [exchange, { joined, id }] of [...this.#open]) {
      if (joined !== gone) continue;
      this.#open.delete(exchange);
      await lostAnswers(this.#options.client, exchange, { ids: [id] });
    }
  }

  // What all of them have

  async #discover(meta: Fields): Promise<Fields> {
    const answers = await this.#askAll("server/discover", meta);
    const capabilities: Record<string, Fields> = {};
    const instructions: string[] = [];
    const labels = labelsOf(this.#options.members());
    for (const { joined: { member }, result } of answers) {
      for (const [name, value] of Object.entries(fieldsAt(result, "capabilities"))) {
        if (!KNOWN.has(name) || !isObject(value)) continue;
        capabilities[name] = { ...capabilities[name], ...value };
      }
      if (typeof result.instructions === "string") {
        instructions.push(`# ${labels.get(member.key) ?? member.name}\n${result.instructions}`);
      }
    }
    for (const { capability } of LIST_CHANGES) {
      // A server may come later: all three are there, empty for now.
      capabilities[capability] = { ...capabilities[capability], listChanged: true };
    }
    return {
      supportedVersions: [NEWER_REVISION],
      capabilities,
      ...(instructions.length === 0 ? {} : { instructions: instructions.join("\n\n") }),
      ...FRESH,
      _meta: { [META.serverInfo]: { name: "foster", version: VERSION } },
    };
  }

  async #list(method: ListMethod, meta: Fields): Promise<Fields> {
    const { items: key } = LISTS[method];
    const merged: unknown[] = [];
    for (const { joined, items } of await this.#walkAll(method, meta)) {
      merged.push(...this.#merge(method, joined, items));
    }
    return { [key]: merged, ...FRESH };
  }

  #merge(method: ListMethod, { member }: Joined, items: readonly unknown[]): unknown[] {
    const label = labelsOf(this.#options.members()).get(member.key) ?? member.name;
    // Addresses that the server does not list any more are nobody's.
    if (method === "resources/list") removeOwner(this.#uris, member.key);
    if (method === "resources/templates/list") removeOwner(this.#prefixes, member.key);
    return items.flatMap((item) => {
      if (!isObject(item)) return [];
      if (method === "tools/list" || method === "prompts/list") {
        if (typeof item.name !== "string") return [];
        return [{ ...item, name: this.#names[method].add({ key: member.key, name: item.name }, label) }];
      }
      const address = item[LISTS[method].name];
      if (typeof address !== "string") return [];
      const table = method === "resources/list" ? this.#uris : this.#prefixes;
      const place = method === "resources/list" ? address : address.split("{")[0] ?? address;
      const owner = table.get(place);
      if (owner !== undefined && owner !== member.key) return [];
      table.set(place, member.key);
      return [item];
    });
  }

  async #walkAll(method: ListMethod, meta: Fields): Promise<{ joined: Joined; items: unknown[] }[]> {
    const walked = await Promise.all(
      this.#members().map(async (joined) => {
        const items = await this.#inTime(this.#walk(joined, method, meta), () => this.#tellLate(method));
        return items === null ? [] : [{ joined, items }];
      }),
    );
    return walked.flat();
  }

  async #walk(joined: Joined, method: ListMethod, meta: Fields): Promise<unknown[] | null> {
    const walk = new ListWalk(method);
    let params: Fields = {};
    while (true) {
      const { result } = await this.#ask(joined, method, { ...params, _meta: meta });
      if (!isObject(result)) return null;
      const step = walk.add(result);
      if (step.kind !== "more") return step.kind === "whole" ? step.items : null;
      params = { cursor: step.cursor };
    }
  }

  async #askAll(method: string, meta: Fields): Promise<{ joined: Joined; result: Fields }[]> {
    const asked = await Promise.all(
      this.#members().map(async (joined) => {
        const answer = await this.#inTime(this.#ask(joined, method, { _meta: meta }), () => {
          for (const list of Object.keys(LISTS)) if (isListMethod(list)) this.#tellLate(list);
        });
        return isObject(answer?.result) ? [{ joined, result: answer.result }] : [];
      }),
    );
    return asked.flat();
  }

  /** Null where it takes too long: `onLate` is called when it is there after all. */
  async #inTime<T>(work: Promise<T>, onLate: () => void): Promise<T | null> {
    let isLate = false;
    const timer = new AbortController();
    const late = this.#options.clock.sleep(PATIENCE_MS, timer.signal).then(() => {
      isLate = true;
      return null;
    }, () => null);
    const watched = work.then((value) => {
      timer.abort();
      if (isLate) onLate();
      return value;
    });
    return await Promise.race([watched, late]);
  }

  #tellLate(method: ListMethod): void {
    this.#tellListens(LISTS[method].changed, {}).catch(() => {});
  }

  // Whose it is

  async #ownerOf(method: string, params: Fields, meta: Fields): Promise<
    { joined: Joined; path: string[] | null; name: string } | { error: { code: number; message: string } }
  > {
    const ref = fieldsAt(params, "ref");
    switch (method) {
      case "tools/call":
        return await this.#named("tools/list", params.name, ["name"], meta);
      case "prompts/get":
        return await this.#named("prompts/list", params.name, ["name"], meta);
      case "resources/read":
        return await this.#addressed(params.uri, meta);
      case "completion/complete":
        return ref.type === "ref/prompt"
          ? await this.#named("prompts/list", ref.name, ["ref", "name"], meta)
          : await this.#addressed(ref.uri, meta);
      default:
        return {
          error: { code: CODE.methodNotFound, message: `${method}: not a method of several servers at once` },
        };
    }
  }

  async #named(kind: Kind, name: unknown, path: string[], meta: Fields): Promise<
    { joined: Joined; path: string[]; name: string } | { error: { code: number; message: string } }
  > {
    if (typeof name !== "string") {
      return { error: { code: CODE.invalidParams, message: `${path.join(".")} is no text` } };
    }
    // A name that is not known may be one of a list that was never asked for in this life.
    if (this.#names[kind].owner(name) === null) await this.#list(kind, meta);
    const owner = this.#names[kind].owner(name);
    const joined = owner === null
      ? undefined
      : this.#members().find(({ member }) => member.key === owner.key);
    if (owner === null || joined === undefined) {
      return {
        error: { code: CODE.invalidParams, message: `None of the servers has ${JSON.stringify(name)}` },
      };
    }
    return { joined, path, name: owner.name };
  }

  async #addressed(uri: unknown, meta: Fields): Promise<
    { joined: Joined; path: null; name: string } | { error: { code: number; message: string } }
  > {
    if (typeof uri !== "string") return { error: { code: CODE.invalidParams, message: "uri is no text" } };
    const find = () => {
      const listed = this.#uris.get(uri);
      if (listed !== undefined) return listed;
      const prefixes = [...this.#prefixes].filter(([prefix]) => prefix !== "" && uri.startsWith(prefix));
      return prefixes.sort(([a], [b]) => b.length - a.length)[0]?.[1];
    };
    if (find() === undefined) {
      await Promise.all([this.#list("resources/list", meta), this.#list("resources/templates/list", meta)]);
    }
    const key = find();
    const joined = this.#members().find(({ member }) => member.key === key);
    if (joined === undefined) {
      return { error: { code: CODE.invalidParams, message: `None of the servers has ${uri}` } };
    }
    return { joined, path: null, name: uri };
  }

  // Streams of changes

  async #listen(
    exchange: number,
    { id, params, meta }: { id: unknown; params: Fields; meta: Fields },
  ): Promise<void> {
    const asked = fieldsAt(params, "notifications");
    const uris = textsAt(asked, "resourceSubscriptions");
    const filter = Object.fromEntries(
      LIST_CHANGES.flatMap(({ filter: key }) => asked[key] === true ? [[key, true]] : []),
    );
    const listen: Listen = { exchange, id, filter, uris: [], meta, parts: [] };
    this.#listens.set(exchange, listen);
    const byOwner = new Map<string, string[]>();
    for (const uri of uris) {
      const owner = await this.#addressed(uri, meta);
      if ("error" in owner) continue;
      listen.uris.push(uri);
      byOwner.set(owner.joined.member.key, [...byOwner.get(owner.joined.member.key) ?? [], uri]);
    }
    const notifications = {
      ...filter,
      ...(listen.uris.length === 0 ? {} : { resourceSubscriptions: listen.uris }),
    };
    if (this.#listens.get(exchange) !== listen) return;
    await this.#tell(listen, "notifications/subscriptions/acknowledged", { notifications });
    await this.#extend(listen, byOwner);
  }

  /** Passes a stream on to the servers that do not know of it. */
  async #extend(listen: Listen, byOwner: ReadonlyMap<string, string[]>): Promise<void> {
    const { exchange, filter, meta } = listen;
    for (const joined of this.#members()) {
      if (this.#listens.get(exchange) !== listen) return;
      if (listen.parts.some((part) => part.joined === joined)) continue;
      const own = byOwner.get(joined.member.key) ?? [];
      const wanted = { ...filter, ...(own.length === 0 ? {} : { resourceSubscriptions: own }) };
      if (Object.keys(wanted).length === 0) continue;
      const part = this.#nextOwn--;
      listen.parts.push({ joined, exchange: part });
      const message = {
        jsonrpc: "2.0",
        id: FIRST_OWN_ID - part,
        method: "subscriptions/listen",
        params: { notifications: wanted, _meta: meta },
      };
      await joined.conversation.receive(part, encoder.encode(JSON.stringify(message)), [message]);
    }
  }

  async #tellListens(method: string, params: Fields): Promise<void> {
    const change = LIST_CHANGES.find((each) => each.method === method);
    for (const listen of this.#listens.values()) {
      const isWanted = change === undefined
        ? listen.uris.some((uri) => coversResource(uri, String(params.uri)))
        : listen.filter[change.filter] === true;
      if (isWanted) await this.#tell(listen, method, params);
    }
  }

  async #tell({ exchange, id }: Listen, method: string, params: Fields): Promise<void> {
    const meta = { ...fieldsAt(params, "_meta"), [META.subscriptionId]: id };
    const line = encoder.encode(
      JSON.stringify({ jsonrpc: "2.0", method, params: { ...params, _meta: meta } }),
    );
    await this.#options.client.write(line, { kind: "related", exchange });
  }

  // To and from the servers

  #members(): Joined[] {
    return this.#options.members().map((member) => {
      const known = this.#joined.get(member.key);
      if (known !== undefined) return known;
      const conversation = member.open({
        write: (line, to) => this.#write(line, to),
        cancelled: (exchange) => {
          if (exchange < 0) return;
          this.#open.delete(exchange);
          this.#options.client.cancelled?.(exchange);
        },
      });
      const joined = { member, conversation };
      this.#joined.set(member.key, joined);
      return joined;
    });
  }

  #write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "session") return;
    if (to.exchange >= 0) {
      if (to.kind === "answer" && to.isLast) this.#open.delete(to.exchange);
      return this.#options.client.write(line, to);
    }
    const value = parseLine(line);
    if (!isObject(value)) return;
    if (to.kind === "answer") {
      const own = this.#own.get(to.exchange);
      this.#own.delete(to.exchange);
      return own?.resolve(value);
    }
    const { method } = value;
    if (typeof method !== "string" || method === "notifications/subscriptions/acknowledged") return;
    const params = isObject(value.params) ? value.params : {};
    const own = omit(fieldsAt(params, "_meta"), META.subscriptionId);
    return this.#tellListens(
      method,
      Object.keys(own).length === 0 ? omit(params, "_meta") : { ...params, _meta: own },
    );
  }

  async #ask(joined: Joined, method: string, params: Fields): Promise<Fields> {
    const key = `${joined.member.key} ${method} ${canonicalJson(params)}`;
    const asked = this.#asking.get(key) ??
      this.#send(joined, method, params).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    return await asked;
  }

  async #send(joined: Joined, method: string, params: Fields): Promise<Fields> {
    const { conversation } = joined;
    const exchange = this.#nextOwn--;
    const message = { jsonrpc: "2.0", id: FIRST_OWN_ID - exchange, method, params };
    const answered = new Promise<Fields>((resolve) => this.#own.set(exchange, { joined, resolve }));
    await conversation.receive(exchange, encoder.encode(JSON.stringify(message)), [message]);
    return await answered;
  }

  async #answer(exchange: number, id: unknown, result: Fields): Promise<void> {
    if (!this.#open.delete(exchange)) return;
    const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, result }));
    await this.#options.client.write(line, { kind: "answer", exchange, isLast: true });
  }

  async #fail(exchange: number, id: unknown, error: { code: number; message: string }): Promise<void> {
    this.#open.delete(exchange);
    const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, error }));
    await this.#options.client.write(line, { kind: "answer", exchange, isLast: true });
  }
}

const KNOWN: ReadonlySet<string> = new Set(["tools", "prompts", "resources", "completions", "logging"]);
const FRESH = { resultType: "complete", ttlMs: 0, cacheScope: "private" };

function removeOwner(table: Map<string, string>, key: string): void {
  for (const [place, owner] of table) if (owner === key) table.delete(place);
}

/** The envelope of a request, for requests of foster's own on the client's behalf: without its progress token. */
function pick(meta: Fields): Fields {
  const kept = [META.version, META.clientInfo, META.clientCapabilities] as string[];
  return Object.fromEntries(Object.entries(meta).filter(([key]) => kept.includes(key)));
}

/** The message with the server's own name, as a value. */
function renamed(message: Fields, { path, name }: { path: string[] | null; name: string }): Fields {
  const params = isObject(message.params) ? message.params : {};
  if (path === null) return message;
  const [first = "", second] = path;
  const value = second === undefined ? name : { ...fieldsAt(params, first), [second]: name };
  return { ...message, params: { ...params, [first]: value } };
}
