/** Whether the value is a JSON object: not null, no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type JsonObject = Readonly<Record<string, unknown>>;

/** `over` on top of `base`: objects are merged at every depth, arrays and single values replaced. */
export function deepMerge(base: JsonObject, over: JsonObject): Record<string, unknown> {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key);
    merged.set(key, isObject(below) && isObject(value) ? deepMerge(below, value) : value);
  }
  return Object.fromEntries(merged);
}
