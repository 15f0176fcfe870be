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

/** A copy without the named keys. */
export function omit(
  object: Readonly<Record<string, unknown>>,
  ...keys: readonly string[]
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** Numbers that a double may not hold, or that JSON.stringify would write in another way. */
const UNUSUAL_NUMBER = /\d{16}|\d[\d.]{16}|0\.0{6}|\d\.\d*0(?!\d)|\d[eE]|-0(?![.\d])/;

/**
 * As JSON.parse, but JSON.stringify writes every number of the result as it was: integers beyond 2^53, `1.0`, `1e400`.
 * Such a number is an object, no number.
 *
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  if (!UNUSUAL_NUMBER.test(text)) return JSON.parse(text);
  return json.parse(
    text,
    (_key, value, context) =>
      typeof value === "number" && context?.source !== undefined && String(value) !== context.source
        ? json.rawJSON(context.source)
        : value,
  );
}

/** Whether the value is a number, or what {@link parseExactly} gives in the place of one. */
export function isNumber(value: unknown): boolean {
  return typeof value === "number" || json.isRawJSON(value);
}

/** What both engines' JSON can do beyond TypeScript's library: the source text of a value, in and out. */
const json = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context?: { source?: string }) => unknown,
  ): unknown;
  rawJSON(source: string): object;
  isRawJSON(value: unknown): boolean;
};

/** Whether a JSON text has more than `limit` objects and arrays in one another: by its brackets, whatever else is wrong. */
export function isDeeperThan(text: Uint8Array, limit: number): boolean {
  if (text.length <= limit) return false;
  let depth = 0;
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at];
    if (isText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > limit) return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
  }
  return false;
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = new TextEncoder().encode(
  '"\\{}[]',
);
