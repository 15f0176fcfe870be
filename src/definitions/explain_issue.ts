import { isObject } from "../base/json.ts";
import { DefinitionError, type DefinitionPlace } from "./definition_error.ts";
import { definitionJsonSchema, type SchemaIssue } from "./schema.ts";
import { didYouMean } from "../base/suggest.ts";

/** Keys that other programs know, and what foster has instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  type: 'foster calls it "transport": "streamable-http", "sse" or "stdio"',
  url: "foster runs local servers: give the command that starts it, and its port",
  httpUrl: "foster runs local servers: give the command that starts it, and its port",
  disabled: "remove it: a server runs when it is asked for by name",
  timeout: 'foster has "ready": { "timeout": "30s" }',
  environment: 'did you mean "env"?',
};

/** Says where in which file the first and most telling issue is, and what to do about it. */
export function explainIssues(
  issues: readonly SchemaIssue[],
  { file, value }: { file: string; value: unknown },
) {
  const issue = issues.find((each) => each.kind === "unknown_keys") ?? issues[0];
  if (issue === undefined) return new DefinitionError("is not a definition file", { file });
  switch (issue.kind) {
    case "unknown_keys": {
      const unknown = issue.keys[0] ?? "";
      const hint = (issue.path.length === 2 ? ELSEWHERE[unknown] : undefined) ??
        didYouMean(unknown, knownKeys(issue.path)) ?? `known here: ${knownKeys(issue.path).join(", ")}`;
      return new DefinitionError("is not a known key", { ...placeOf([...issue.path, unknown], file), hint });
    }
    case "bad_name":
      return new DefinitionError(issue.message, nameOrKey(issue.path, file));
    case "bad_value":
      return new DefinitionError(issue.message + quoted(issue.path, value), placeOf(issue.path, file));
  }
}

/** A malformed server name is itself the culprit; a malformed name further in is a key. */
function nameOrKey(path: readonly PropertyKey[], file: string): Partial<DefinitionPlace> {
  return path.length === 2 ? { file, server: String(path[1]), key: "name" } : placeOf(path, file);
}

function placeOf(path: readonly PropertyKey[], file: string): Partial<DefinitionPlace> {
  const [section, server, ...keys] = path.map(String);
  if (server === undefined) return { file, key: section ?? null };
  return { file, server, key: keys.length === 0 ? null : keys.join(".") };
}

/** Values of `env` and `session` may be secrets and are never shown. */
function quoted(path: readonly PropertyKey[], value: unknown): string {
  if (path[2] === "env" || path[2] === "session") return "";
  let found = value;
  for (const step of path) {
    found = Array.isArray(found) ? found[Number(step)] : isObject(found) ? found[String(step)] : undefined;
  }
  const shown = typeof found === "string" || typeof found === "number" || typeof found === "boolean";
  return shown ? `, not ${JSON.stringify(found)}` : "";
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  const schema = definitionJsonSchema();
  const root = path.length < 2 ? schema : at(at(schema, "$defs"), "server");
  let here: unknown = root;
  for (const step of path.slice(2)) {
    here = alternatives(here)
      .map((each) => typeof step === "number" ? at(each, "items") : at(at(each, "properties"), String(step)))
      .find((each) => each !== undefined);
  }
  return alternatives(here).flatMap((each) => Object.keys(at(each, "properties") ?? {}));
}

function alternatives(schema: unknown): unknown[] {
  const anyOf = at(schema, "anyOf");
  return Array.isArray(anyOf) ? anyOf : [schema];
}

function at(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined;
}
