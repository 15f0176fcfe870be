/**
 * What a server last said of itself: its answer to the handshake and its whole lists. Clients are answered from it while the
 * server is not there.
 *
 * @module
 */
import { canonicalJson, hmacSha256Hex } from "../base/hash.ts";
import { isObject } from "../base/json.ts";
import type { Fields } from "../mcp/revisions/messages.ts";

const DISCOVERY_SCHEMA = 1;
/** Different environments, revisions and capabilities that one server is remembered in. */
const ENTRY_LIMIT = 16;
/** A larger file is not written: the server is asked each time. */
export const DISCOVERY_LIMIT_BYTES = 16 * 1024 * 1024;
const PAGE_LIMIT = 1000;

/** The lists of MCP: the method that asks for one, and the key of its items in the result. */
export const LISTS = {
  "tools/list": {
    items: "tools",
    changed: "notifications/tools/list_changed",
    name: "name",
  },
  "prompts/list": {
    items: "prompts",
    changed: "notifications/prompts/list_changed",
    name: "name",
  },
  "resources/list": {
    items: "resources",
    changed: "notifications/resources/list_changed",
    name: "uri",
  },
  "resources/templates/list": {
    items: "resourceTemplates",
    changed: "notifications/resources/list_changed",
    name: "uriTemplate",
  },
} as const;

export type ListMethod = keyof typeof LISTS;

export function isListMethod(method: string): method is ListMethod {
  return Object.hasOwn(LISTS, method);
}

/** Everything that a server's answer may depend on. */
export interface DiscoveryQuestion {
  specHash: string;
  /** Values of the variables that the definition names. */
  environment: Readonly<Record<string, string>>;
  /** The server's working folder. */
  folder: string;
  revision: string;
  /** The version that the client asked for. */
  asked: string;
  capabilities: Fields;
}

export interface DiscoveryEntry {
  key: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** The result of `initialize` or `server/discover`. */
  answer: Fields;
  lists: Partial<Record<ListMethod, unknown[]>>;
}

/** A keyed hash: short secrets in the environment could be guessed from a plain one. */
export function discoveryKey(question: DiscoveryQuestion, secret: string): string {
  return hmacSha256Hex(secret, canonicalJson(question));
}

/** What is known of the revisions that a server speaks; null is not known yet. */
export interface Spoken {
  older: boolean | null;
  newer: boolean | null;
  /** Of the older ones, the revision that it agreed to last. */
  version: string | null;
}

export class Discovery {
  #entries: DiscoveryEntry[];
  /** By spec hash: another definition may be another server. */
  readonly #spoken: Map<string, Spoken>;

  constructor(entries: readonly DiscoveryEntry[] = [], spoken: readonly (readonly [string, Spoken])[] = []) {
    this.#entries = [...entries];
    this.#spoken = new Map(spoken);
  }

  /** What is known of this definition's revisions: the object is the one place that it is noted in. */
  spoken(specHash: string): Spoken {
    const known = this.#spoken.get(specHash) ?? { older: null, newer: null, version: null };
    // Others are of definitions that were changed since.
    this.#spoken.clear();
    this.#spoken.set(specHash, known);
    return known;
  }

  /** What a text in the state folder holds; nothing of it where it is damaged or of another schema. */
  static decode(text: string): Discovery {
    try {
      const value: unknown = JSON.parse(text);
      if (!isObject(value) || value.schema !== DISCOVERY_SCHEMA || !Array.isArray(value.entries)) {
        return new Discovery();
      }
      const spoken = Object.entries(isObject(value.spoken) ? value.spoken : {}).flatMap(([hash, each]) => {
        if (!isObject(each)) return [];
        const flag = (known: unknown) => typeof known === "boolean" ? known : null;
        const version = typeof each.version === "string" ? each.version : null;
        return [[hash, { older: flag(each.older), newer: flag(each.newer), version }] as const];
      });
      return new Discovery(value.entries.flatMap((each) => decodeEntry(each) ?? []), spoken);
    } catch {
      return new Discovery();
    }
  }

  /** Null where it would be too large to be read again. */
  encode(): string | null {
    const spoken = Object.fromEntries(this.#spoken);
    const text = JSON.stringify({ schema: DISCOVERY_SCHEMA, spoken, entries: this.#entries }) + "\n";
    return new TextEncoder().encode(text).length > DISCOVERY_LIMIT_BYTES ? null : text;
  }

  find(key: string): DiscoveryEntry | null {
    return this.#entries.find((entry) => entry.key === key) ?? null;
  }

  /** The list that the server gave last, to whomever; null where it never gave one. */
  lastList(method: ListMethod): { at: number; items: unknown[] } | null {
    const [newest] = this.#entries.filter(({ lists }) => lists[method] !== undefined);
    return newest === undefined ? null : { at: newest.at, items: newest.lists[method] ?? [] };
  }

  /** Keeps the answer of a handshake; the lists of an equal one stay. True where it says something new. */
  noteAnswer(key: string, answer: Fields, at: number): boolean {
    const before = this.find(key);
    const isSame = before !== null && canonicalJson(before.answer) === canonicalJson(answer);
    this.#put({ key, at, answer, lists: before?.lists ?? {} });
    return !isSame;
  }

  /** Keeps a whole list; true where that is news. An empty one is not kept: a server that is still loading has those. */
  noteList(
    key: string,
    { method, items, at }: { method: ListMethod; items: unknown[]; at: number },
  ): boolean {
    const entry = this.find(key);
    if (entry === null) return false;
    const lists = { ...entry.lists };
    if (items.length === 0) delete lists[method];
    else lists[method] = items;
    this.#put({ ...entry, at, lists });
    return canonicalJson(lists) !== canonicalJson(entry.lists);
  }

  #put(entry: DiscoveryEntry): void {
    const others = this.#entries.filter(({ key }) => key !== entry.key);
    this.#entries = [...others, entry].sort((a, b) => b.at - a.at).slice(0, ENTRY_LIMIT);
  }
}

function decodeEntry(value: unknown): DiscoveryEntry | null {
  if (!isObject(value)) return null;
  const { key, at, answer, lists } = value;
  if (typeof key !== "string" || typeof at !== "number" || !isObject(answer) || !isObject(lists)) return null;
  const known = Object.entries(lists).filter(([method, items]) =>
    isListMethod(method) && Array.isArray(items)
  );
  return { key, at, answer, lists: Object.fromEntries(known) };
}

export type WalkStep =
  | { kind: "more"; cursor: string }
  | { kind: "whole"; items: unknown[] }
  /** Pages that never end, or that are no list: such a list is not kept. */
  | { kind: "broken" };

/** Collects the pages of one list. */
export class ListWalk {
  readonly #method: ListMethod;
  #items: unknown[] = [];
  #cursors = new Set<string>();

  constructor(method: ListMethod) {
    this.#method = method;
  }

  add(result: Fields): WalkStep {
    const items = result[LISTS[this.#method].items];
    if (!Array.isArray(items)) return { kind: "broken" };
    for (const item of items) this.#items.push(item);
    const { nextCursor } = result;
    if (nextCursor === undefined || nextCursor === null) return { kind: "whole", items: this.#items };
    if (typeof nextCursor !== "string" || this.#cursors.has(nextCursor) || this.#cursors.size >= PAGE_LIMIT) {
      return { kind: "broken" };
    }
    this.#cursors.add(nextCursor);
    return { kind: "more", cursor: nextCursor };
  }
}

/** Whether two lists hold the same, whatever their order: some servers' order is random. */
export function sameList(one: readonly unknown[], other: readonly unknown[]): boolean {
  if (one.length !== other.length) return false;
  const texts = (list: readonly unknown[]) => list.map(canonicalJson).sort();
  const [left, right] = [texts(one), texts(other)];
  return left.every((text, index) => text === right[index]);
}

/**
 * The answer of a handshake with `listChanged` for every list that exists: clients listen only where it was promised, and
 * the gateway itself sends the message.
 */
export function promisingChanges(answer: Fields): Fields {
  const { capabilities } = answer;
  if (!isObject(capabilities)) return answer;
  const promised = Object.fromEntries(
    Object.entries(capabilities).map(([key, value]) => [
      key,
      ["tools", "prompts", "resources"].includes(key) && isObject(value)
        ? { ...value, listChanged: true }
        : value,
    ]),
  );
  return { ...answer, capabilities: promised };
}
