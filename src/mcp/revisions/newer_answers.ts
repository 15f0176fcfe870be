/**
 * What an older server answers, as the newer revision has it.
 *
 * @module
 */
import { isObject, omit } from "../../base/json.ts";
import {
  CODE,
  type Fields,
  fieldsAt,
  META,
  NEWER_REVISION,
  type RpcError,
  TASKS_EXTENSION,
} from "./messages.ts";

/** What `server/discover` answers for a server that answered `initialize` so. */
export function discoveredOf(initialized: Fields): Fields {
  const { capabilities, serverInfo, instructions } = initialized;
  const declared = isObject(capabilities) ? omit(capabilities, "tasks") : {};
  const extensions = omit(fieldsAt(declared, "extensions"), TASKS_EXTENSION);
  if ("extensions" in declared) declared.extensions = extensions;
  const meta = fieldsAt(initialized, "_meta");
  return {
    supportedVersions: [NEWER_REVISION],
    capabilities: declared,
    ...(instructions === undefined ? {} : { instructions }),
    resultType: "complete",
    ttlMs: 0,
    cacheScope: "private",
    _meta: { ...meta, ...(isObject(serverInfo) ? { [META.serverInfo]: serverInfo } : {}) },
  };
}

/** A result's fields as the newer revision has them. */
export function newerBody(method: string, result: Fields, { runsTasks }: { runsTasks: boolean }): Fields {
  if (method === "tools/call" && !Array.isArray(result.content)) return { ...result, content: [] };
  if (method !== "tools/list" || !Array.isArray(result.tools)) return result;
  // A tool that must be called as a task is driven as one here, where the server takes those.
  const callable = runsTasks ? result.tools : result.tools.filter((tool) => !isTaskOnly(tool));
  return { ...result, tools: callable.map((tool) => isObject(tool) ? omit(tool, "execution") : tool) };
}

/** Whether a tool only runs as a task. */
export function isTaskOnly(tool: unknown): boolean {
  return isObject(tool) && fieldsAt(tool, "execution").taskSupport === "required";
}

/** An error of an older server, with the code that the newer revision has for it. */
export function newerError({ code, message, data }: RpcError): RpcError {
  const newer = code === CODE.resourceNotFound
    ? CODE.invalidParams
    : code === CODE.urlElicitationRequired
    ? CODE.internal
    : code;
  return { code: newer, message, data };
}

/** The elicitations by URL of an error -32042, as input requests; null for other errors. */
export function urlElicitations({ code, data }: RpcError): Fields | null {
  if (code !== CODE.urlElicitationRequired || !isObject(data) || !Array.isArray(data.elicitations)) {
    return null;
  }
  const asked = data.elicitations.filter(isObject);
  if (asked.length === 0) return null;
  return Object.fromEntries(
    asked.map((params, index) => [
      `elicitation_${index + 1}`,
      { method: "elicitation/create", params: { ...omit(params, "elicitationId"), mode: "url" } },
    ]),
  );
}
