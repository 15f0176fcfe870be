import { isObject } from "../base/json.ts";

// Objects made from JSON lose this key on the way, or take it for their prototype.
export const UNUSABLE_KEY = "__proto__";

/**
 * The value of strict JSON in which no key stands twice, as most definition files are: what else there is to say of a text
 * takes the parser that knows comments and places. Undefined where that has to look at it.
 */
export function plainJson(text: string): unknown {
  try {
    const source = text.replace(/^\uFEFF/, "");
    const value: unknown = JSON.parse(source);
    return keysOf(value) === keysWritten(source) ? value : undefined;
  } catch {
    return undefined;
  }
}

function keysOf(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + keysOf(each), 0);
  if (!isObject(value)) return 0;
  if (Object.hasOwn(value, UNUSABLE_KEY)) return NaN;
  return Object.values(value).reduce<number>((sum, each) => sum + 1 + keysOf(each), 0);
}

function keysWritten(source: string): number {
  let count = 0;
  for (const [, colon] of source.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*(:)?/g)) {
    if (colon !== undefined) count++;
  }
  return count;
}
