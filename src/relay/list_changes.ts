/**
 * Which lists another life of the server has otherwise than the client knows them.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type ClientMemory, type ListKind, PAGE_LIMIT, resultOf } from "./memory.ts";
import { namedRevision, notificationLine, parseLine } from "./message.ts";
import type { Parcel } from "./parcel.ts";

export interface ListQuestions {
  /** @throws Error where no answer comes */
  ask(line: Uint8Array): Promise<Uint8Array>;
  newId(): string;
  /** What the client has open: its subscriptions among them. */
  open: ReadonlySet<Parcel>;
}

/** The notifications that the client is to have, in order. A server that is lost meanwhile has none. */
export async function changedLists(memory: ClientMemory, questions: ListQuestions): Promise<Uint8Array[]> {
  const changed = new Map<string, ListKind>();
  try {
    for (const kind of memory.knownLists()) {
      if (memory.isChanged(kind, await fetchList(memory, kind, questions))) changed.set(kind.changed, kind);
    }
  } catch {
    return [];
  }
  return [...changed.values()].flatMap((kind) => {
    const isPlain = memory.hasSession ? [notificationLine(kind.changed)] : [];
    return [...isPlain, ...subscribed(kind, questions.open)];
  });
}

async function fetchList(
  memory: ClientMemory,
  kind: ListKind,
  { ask, newId }: ListQuestions,
): Promise<unknown[]> {
  const items: unknown[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < PAGE_LIMIT; page++) {
    // A server that knows no such list has an empty one.
    const result = resultOf(parseLine(await ask(memory.listRequest(kind, { id: newId(), cursor }))));
    const found = result[kind.items];
    if (Array.isArray(found)) items.push(...found);
    if (typeof result.nextCursor !== "string") break;
    cursor = result.nextCursor;
  }
  return items;
}

/** For the open subscriptions that asked to be told. */
function subscribed(kind: ListKind, open: ReadonlySet<Parcel>): Uint8Array[] {
  return [...open].flatMap(({ message }) => {
    if (message.kind !== "request" || message.method !== "subscriptions/listen") return [];
    if (namedRevision(message.params) === null) return [];
    const filter = message.params.notifications;
    return isObject(filter) && filter[kind.filter] === true
      ? [notificationLine(kind.changed, message.id)]
      : [];
  });
}
