/**
 * Decoders of what stands in files: each returns the value it is for, or says which field is wrong.
 *
 * @module
 */
import { isObject } from "./json.ts";

/** Returns the value as it may be used. @throws Malformed */
export type Decoder<T> = (value: unknown) => T;

/** What a decoder says of a value that it does not take. */
export class Malformed extends Error {
  override readonly name = "Malformed";

  /** @param field where it stands, as `supervisor.pid`; "" for the value itself */
  constructor(readonly field = "", readonly why: string | null = null) {
    super(why ?? (field === "" ? "it is malformed" : `"${field}" is missing or malformed`));
  }

  within(name: string): Malformed {
    return new Malformed(this.field === "" ? name : `${name}.${this.field}`, this.why);
  }
}

export type DecodeResult<T> = { kind: "value"; value: T } | { kind: "malformed"; why: string };

/** Reads a JSON text. */
export function decodeJson<T>(source: string, decode: Decoder<T>): DecodeResult<T> {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return { kind: "malformed", why: "it is not JSON" };
  }
  try {
    return { kind: "value", value: decode(value) };
  } catch (error) {
    if (error instanceof Malformed) return { kind: "malformed", why: error.message };
    throw error;
  }
}

/** As {@link decodeJson}; null for everything malformed. */
export function decodeJsonOrNull<T>(source: string, decode: Decoder<T>): T | null {
  const decoded = decodeJson(source, decode);
  return decoded.kind === "value" ? decoded.value : null;
}

export type Fields<T> = { readonly [Name in keyof T]-?: Decoder<T[Name]> };

/** An object with these fields; others are left out. */
export function object<T>(fields: Fields<T>): Decoder<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value) => {
    if (!isObject(value)) throw new Malformed("", "it is not an object");
    const decoded: Partial<T> = {};
    for (const name of names) {
      const found = field(value, name, fields[name]);
      if (found !== undefined) decoded[name] = found;
    }
    return decoded as T;
  };
}

/** As {@link object}, but keeps the fields that it does not know: another version wrote them. */
export function openObject<T>(fields: Fields<T>): Decoder<T> {
  const known = object(fields);
  return (value) => ({ ...value as object, ...known(value) });
}

function field<T>(value: Record<string, unknown>, name: string, decode: Decoder<T>): T {
  try {
    return decode(value[name]);
  } catch (error) {
    // An object inside that is no object is a malformed field of this one.
    if (error instanceof Malformed) {
      throw error.why === "it is not an object" ? new Malformed(name) : error.within(name);
    }
    throw error;
  }
}

/** A text that `accepts` takes; any text without. */
export function text(accepts: RegExp | ((value: string) => boolean) = () => true): Decoder<string> {
  const isGood = accepts instanceof RegExp ? (value: string) => accepts.test(value) : accepts;
  return (value) => {
    if (typeof value === "string" && isGood(value)) return value;
    throw new Malformed();
  };
}

/** A whole number within the bounds, both included. */
export function integer(min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER): Decoder<number> {
  return (value) => {
    if (Number.isSafeInteger(value) && value as number >= min && value as number <= max) {
      return value as number;
    }
    throw new Malformed();
  };
}

export const flag: Decoder<boolean> = (value) => {
  if (typeof value === "boolean") return value;
  throw new Malformed();
};

/** One of these very values. */
export function oneOf<const T extends string | number>(...values: readonly T[]): Decoder<T> {
  return (value) => {
    const found = values.find((each) => each === value);
    if (found !== undefined) return found;
    throw new Malformed();
  };
}

export function list<T>(item: Decoder<T>): Decoder<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new Malformed();
    return value.map((each) => item(each));
  };
}

/** An object as a table: any names that `accepts` takes, all values of one kind. */
export function table<T>(item: Decoder<T>): Decoder<Record<string, T>> {
  return (value) => {
    if (!isObject(value)) throw new Malformed();
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, item(each)]));
  };
}

export function nullable<T>(decode: Decoder<T>): Decoder<T | null> {
  return (value) => value === null ? null : decode(value);
}

/** A field that an older version did not write: `absent` where it is missing. */
export function optional<T, Absent>(decode: Decoder<T>, absent: Absent): Decoder<T | Absent> {
  return (value) => value === undefined ? absent : decode(value);
}

/** `instead` for everything that `decode` does not take. */
export function lenient<T>(decode: Decoder<T>, instead: T): Decoder<T> {
  return (value) => {
    try {
      return decode(value);
    } catch (error) {
      if (error instanceof Malformed) return instead;
      throw error;
    }
  };
}

/** The good items of a list or table, whatever stands beside them; none where it is neither. */
export function goodItems<T>(item: Decoder<T>): {
  list: Decoder<T[]>;
  table: Decoder<Record<string, T>>;
} {
  const good = (value: unknown): [T] | [] => {
    try {
      return [item(value)];
    } catch (error) {
      if (error instanceof Malformed) return [];
      throw error;
    }
  };
  return {
    list: (value) => Array.isArray(value) ? value.flatMap(good) : [],
    table: (value) =>
      isObject(value)
        ? Object.fromEntries(
          Object.entries(value).flatMap(([name, each]) => good(each).map((it) => [name, it])),
        )
        : {},
  };
}
