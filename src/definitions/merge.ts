type Plain = Readonly<Record<string, unknown>>;

/** `over` on top of `base`: objects are merged at every depth, arrays and single values replaced. */
export function deepMerge(base: Plain, over: Plain): Record<string, unknown> {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key);
    merged.set(key, isPlain(below) && isPlain(value) ? deepMerge(below, value) : value);
  }
  return Object.fromEntries(merged);
}

export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
