/**
 * Tools whose output is no object: the newer revision allows any schema, the older one objects only. Such an output is
 * put under `result`, in the schema and in every answer alike.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import type { Fields } from "./messages.ts";

/** Keywords whose value is data, not a schema. */
const DATA: ReadonlySet<string> = new Set(["const", "enum", "default", "examples"]);

/** Keywords whose value maps names to schemas: a name may look like a keyword. */
const NAMED: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
]);

/** Whether an older client could not read the schema as it is. */
export function needsWrapping(schema: unknown): schema is Fields {
  return isObject(schema) && schema.type !== "object";
}

/** An object schema that holds the given one under `result`, with references into it kept right. */
export function wrapSchema(schema: Fields): Fields {
  // A schema with an id of its own resolves its references by that id.
  const inner = startsAnew(schema) ? schema : rewritten(schema, false);
  return {
    ...(typeof schema.$schema === "string" ? { $schema: schema.$schema } : {}),
    type: "object",
    properties: { result: inner },
    required: ["result"],
  };
}

function startsAnew({ $id }: Fields): boolean {
  return $id !== undefined && !(typeof $id === "string" && $id.startsWith("#"));
}

function rewritten(node: unknown, isNameMap: boolean): unknown {
  if (Array.isArray(node)) return node.map((each) => rewritten(each, false));
  if (!isObject(node) || (!isNameMap && startsAnew(node))) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => {
      if (isNameMap) return [key, rewritten(value, false)];
      if ((key === "$ref" || key === "$dynamicRef") && typeof value === "string") return [key, moved(value)];
      return [key, DATA.has(key) ? value : rewritten(value, NAMED.has(key))];
    }),
  );
}

function moved(reference: string): string {
  if (reference === "#") return "#/properties/result";
  return reference.startsWith("#/") ? `#/properties/result${reference.slice(1)}` : reference;
}
