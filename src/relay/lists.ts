/**
 * All pages of a list.
 *
 * @module
 */
import type { Params } from "./message.ts";

/** More pages than any list has: a bound against a server that never ends one. */
const PAGE_LIMIT = 1000;
const ITEM_LIMIT = 100_000;

export interface ListQuestions {
  params(cursor: string | null): Params;
  /** The result of one page. @throws Error where it is not answered well */
  ask(params: Params): Promise<Params>;
}

/** @throws Error where a page is not answered, or where the pages have no end */
export async function fetchList(
  { items }: { items: string },
  { params, ask }: ListQuestions,
): Promise<unknown[]> {
  const all: unknown[] = [];
  const cursors = new Set<string>();
  let cursor: string | null = null;
  for (let page = 0; page < PAGE_LIMIT && all.length < ITEM_LIMIT; page++) {
    const result = await ask(params(cursor));
    const found = result[items];
    if (Array.isArray(found)) all.push(...found);
    if (typeof result.nextCursor !== "string") return all;
    cursor = result.nextCursor;
    if (cursors.has(cursor)) break;
    cursors.add(cursor);
  }
  throw new Error(`a list comes to no last page`);
}
