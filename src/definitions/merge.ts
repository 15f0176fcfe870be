import { isObject } from "../base/json.ts";

type Plain = Readonly<Record<string, unknown>>;

/** `over` on top of `base`: objects are merged at every depth, arrays and single values replaced. */
export function deepMerge(base: Plain, over: Plain): Record<string, unknown> {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key);
    merged.set(key, isObject(below) && isObject(value) ? deepMerge(below, value) : value);
  }
  return Object.fromEntries(merged);
}
