/**
 * What may stand in a file, written once: a check of values and the JSON Schema that says the same. A validation library
 * costs each program that reads a definition 25 ms and 4 MiB, `connect` for as long as it lives.
 *
 * @module
 */
import { isObject } from "../base/json.ts";

type Path = readonly PropertyKey[];
type JsonSchema = Record<string, unknown>;

/** What is wrong with a value at one place; `keys` are those that are not known there. */
export type SchemaIssue =
  | { kind: "unknown_keys"; path: PropertyKey[]; keys: string[] }
  | { kind: "bad_name"; path: PropertyKey[]; message: string }
  /** `isType`: it is another type of value altogether. */
  | { kind: "bad_value"; path: PropertyKey[]; message: string; isType: boolean };

type Check = (value: unknown, path: Path) => SchemaIssue[];

/** The type of the values that pass. */
export type ValueOf<S> = S extends Shape<infer T> ? T : never;

export class Shape<T> {
  /** For the type alone. */
  declare readonly type: T;

  constructor(readonly check: Check, readonly schema: JsonSchema) {}

  /** Beside the value there may be null. */
  nullable(): Shape<T | null> {
    return new Shape(
      (value, path) => value === null ? [] : this.check(value, path),
      { anyOf: [this.schema, { type: "null" }] },
    );
  }

  /** The key may be missing. */
  optional(): OptionalShape<T> {
    return new OptionalShape(this.check, this.schema);
  }

  /** `test` is asked of values that are right so far. */
  refine(test: (value: T) => boolean, error: string, schema: JsonSchema = {}): Shape<T> {
    return new Shape((value, path) => {
      const issues = this.check(value, path);
      return issues.length > 0 || test(value as T) ? issues : [bad(path, error)];
    }, { ...this.schema, ...schema });
  }

  /** With what the schema says besides. */
  meta(more: JsonSchema): Shape<T> {
    return new Shape(this.check, { ...this.schema, ...more });
  }

  describe(description: string): Shape<T> {
    return this.meta({ description });
  }
}

export class OptionalShape<T> extends Shape<T> {
  readonly isOptional = true;

  override describe(description: string): OptionalShape<T> {
    return new OptionalShape(this.check, { ...this.schema, description });
  }
}

export type Shapes = Readonly<Record<string, Shape<unknown>>>;
type OptionalKey<S extends Shapes> = {
  [K in keyof S]: S[K] extends OptionalShape<unknown> ? K : never;
}[keyof S];
type ObjectOf<S extends Shapes> =
  & { [K in Exclude<keyof S, OptionalKey<S>>]: ValueOf<S[K]> }
  & { [K in OptionalKey<S>]?: ValueOf<S[K]> | undefined };

export function text(error: string): Shape<string> {
  return ofType((value) => typeof value === "string", error, { type: "string" });
}

export function matching(shape: Shape<string>, pattern: RegExp, error: string): Shape<string> {
  return shape.refine((value) => pattern.test(value), error, { pattern: pattern.source });
}

export function flag(error: string): Shape<boolean> {
  return ofType((value) => typeof value === "boolean", error, { type: "boolean" });
}

export function integer(error: string): Shape<number> {
  return ofType(Number.isSafeInteger, error, { type: "integer" });
}

export function atLeast(shape: Shape<number>, minimum: number, error: string): Shape<number> {
  return shape.refine((value) => value >= minimum, error, { minimum });
}

export function atMost(shape: Shape<number>, maximum: number, error: string): Shape<number> {
  return shape.refine((value) => value <= maximum, error, { maximum });
}

export function constant<const T extends string>(only: T, error: string): Shape<T> {
  return ofType((value) => value === only, error, { type: "string", const: only });
}

export function oneOf<const T extends string>(values: readonly T[], error: string): Shape<T> {
  return ofType((value) => (values as readonly unknown[]).includes(value), error, {
    type: "string",
    enum: values,
  });
}

export function anything(): Shape<unknown> {
  return new Shape<unknown>(() => [], {});
}

export function list<T>(item: Shape<T>, error: string): Shape<T[]> {
  return new Shape(
    (value, path) =>
      Array.isArray(value)
        ? value.flatMap((each, index) => item.check(each, [...path, index]))
        : [ofOtherType(path, error)],
    { type: "array", items: item.schema },
  );
}

/** An object with names of the writer's own. */
export function table<T>(name: Shape<string>, content: Shape<T>, error: string): Shape<Record<string, T>> {
  return new Shape((value, path) => {
    if (!isObject(value)) return [ofOtherType(path, error)];
    return Object.entries(value).flatMap(([key, each]): SchemaIssue[] => {
      const [issue] = name.check(key, []);
      if (issue === undefined) return content.check(each, [...path, key]);
      return [{
        kind: "bad_name",
        path: [...path, key],
        message: "message" in issue ? issue.message : error,
      }];
    });
  }, { type: "object", propertyNames: name.schema, additionalProperties: content.schema });
}

/** An object with the keys of `shapes` and no others. */
export function object<S extends Shapes>(shapes: S, error: string): Shape<ObjectOf<S>> {
  const required = Object.keys(shapes).filter((key) => !(shapes[key] instanceof OptionalShape));
  return new Shape((value, path) => {
    if (!isObject(value)) return [ofOtherType(path, error)];
    const issues = Object.entries(shapes).flatMap(([key, shape]) =>
      Object.hasOwn(value, key) || required.includes(key) ? shape.check(value[key], [...path, key]) : []
    );
    const keys = Object.keys(value).filter((key) => !Object.hasOwn(shapes, key));
    return keys.length === 0 ? issues : [...issues, { kind: "unknown_keys", path: [...path], keys }];
  }, {
    type: "object",
    properties: Object.fromEntries(Object.entries(shapes).map(([key, { schema }]) => [key, schema])),
    ...required.length === 0 ? {} : { required },
    additionalProperties: false,
  });
}

/** One of several shapes. Where the value has the type of one of them, that one says what is wrong with it. */
export function union<S extends readonly Shape<unknown>[]>(
  shapes: S,
  error: string,
): Shape<ValueOf<S[number]>> {
  return new Shape((value, path) => {
    const tried = shapes.map((shape) => shape.check(value, path));
    return tried.find((issues) => issues.every((issue) => !("isType" in issue && issue.isType))) ??
      [ofOtherType(path, error)];
  }, { anyOf: shapes.map(({ schema }) => schema) });
}

function ofType<T>(test: (value: unknown) => boolean, error: string, schema: JsonSchema): Shape<T> {
  return new Shape((value, path) => test(value) ? [] : [ofOtherType(path, error)], schema);
}

function ofOtherType(path: Path, message: string): SchemaIssue {
  return { kind: "bad_value", path: [...path], message, isType: true };
}

function bad(path: Path, message: string): SchemaIssue {
  return { kind: "bad_value", path: [...path], message, isType: false };
}
