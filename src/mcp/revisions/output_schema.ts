/**
 * Tools whose output is no object: the newer revision allows any schema, the older one objects only. An output that is no
 * object is put under `result`, in the schema and in every answer alike. Whether an answer is one shows in the answer, so
 * that nothing has to be remembered of the list that a client may have had from another process.
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

/** What the outputs of a schema are: objects, never objects, or both, which no schema of the older revision can say. */
export function outputOf({ type }: Fields): "object" | "other" | "either" {
  if (type === "object") return "object";
  const types = Array.isArray(type) ? type : [type];
  return types.every((each) => typeof each === "string" && each !== "object") ? "other" : "either";
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
