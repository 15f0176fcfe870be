/**
 * Which revision a POST speaks, and whether it is well formed in that one: decided before anything is started.
 *
 * Source: specification 2026-07-28, basic/transports and basic/versioning; 2025-11-25, basic/transports.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import {
  type Fields,
  fieldsAt,
  META,
  NEWER_REVISION,
  OLDER_REVISIONS,
  type RequestId,
} from "../mcp/revisions/messages.ts";

/** Codes of the newer revision for what is wrong with one hop. */
const HEADER_MISMATCH = -32020;
const UNSUPPORTED_VERSION = -32022;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;

export interface Refusal {
  kind: "refused";
  /** HTTP status. */
  status: number;
  id: RequestId | null;
  error: { code: number; message: string; data?: unknown };
}

export type Classified =
  | { kind: "older"; messages: Fields[]; isBatch: boolean }
  | { kind: "newer"; message: Fields; isRequest: boolean }
  | Refusal;

export interface Posted {
  /** The JSON value of the body. */
  body: unknown;
  header(name: string): string | null;
}

/** The parameter that `Mcp-Name` repeats, by method. */
const NAME_OF: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
  ["tasks/get", "taskId"],
  ["tasks/update", "taskId"],
  ["tasks/cancel", "taskId"],
]);

/** Methods that the newer revision has no more: no server need be started to say so. */
const OLDER_ONLY: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
]);

export function classify({ body, header }: Posted): Classified {
  if (Array.isArray(body)) return classifyBatch(body);
  if (!isObject(body) || !isMessage(body)) {
    return refused(400, null, INVALID_REQUEST, "The body is not a JSON-RPC message");
  }
  const named = trimmed(header("mcp-protocol-version"));
  const claim = fieldsAt(fieldsAt(body, "params"), "_meta")[META.version];
  const isNewerHeader = named !== null && isNewer(named);
  if (!("method" in body)) {
    return isNewerHeader
      ? refused(400, null, INVALID_REQUEST, `Responses are not posted in ${NEWER_REVISION}`)
      : older(body);
  }
  const id = idOf(body);
  if (claim === undefined) {
    if (!isNewerHeader) return older(body);
    if (id === null) return { kind: "newer", message: body, isRequest: false };
    if (body.method === "initialize") {
      return refused(
        400,
        id,
        HEADER_MISMATCH,
        `initialize is no method of ${named}, which MCP-Protocol-Version names`,
      );
    }
    if (named !== NEWER_REVISION) return unsupported(id, named);
    return refused(
      400,
      id,
      INVALID_PARAMS,
      `params._meta lacks ${META.version}, which MCP-Protocol-Version ${named} needs`,
      {
        envelope: { missing: [META.version] },
      },
    );
  }
  return classifyNewer(body, { id, claim, named, header });
}

function classifyNewer(
  body: Fields,
  { id, claim, named, header }: {
    id: RequestId | null;
    claim: unknown;
    named: string | null;
    header: Posted["header"];
  },
): Classified {
  const params = fieldsAt(body, "params");
  const method = String(body.method);
  const envelope = envelopeFault(fieldsAt(params, "_meta"));
  if (envelope !== null) return refused(400, id, INVALID_PARAMS, `params._meta: ${envelope}`);
  if (named !== null && named !== claim) return mismatch(id, "MCP-Protocol-Version", named, String(claim));
  // A client that names an older revision per request speaks neither way rightly.
  if (claim !== NEWER_REVISION) return unsupported(id, claim);
  const statedMethod = trimmed(header("mcp-method"));
  if (statedMethod !== null && statedMethod !== method) {
    return mismatch(id, "Mcp-Method", statedMethod, method);
  }
  if (id === null) return { kind: "newer", message: body, isRequest: false };
  if (named === null) return missing(id, "MCP-Protocol-Version", String(claim));
  if (statedMethod === null) return missing(id, "Mcp-Method", method);
  const nameFault = checkName(id, method, params, header);
  if (nameFault !== null) return nameFault;
  if (OLDER_ONLY.has(method)) {
    return refused(404, id, METHOD_NOT_FOUND, `${method}: not a method of ${NEWER_REVISION}`);
  }
  return { kind: "newer", message: body, isRequest: true };
}

function classifyBatch(body: readonly unknown[]): Classified {
  if (body.length === 0) return refused(400, null, INVALID_REQUEST, "The batch is empty");
  const messages: Fields[] = [];
  for (const each of body) {
    if (!isObject(each) || !isMessage(each)) {
      return refused(400, null, INVALID_REQUEST, "The batch holds no JSON-RPC message");
    }
    if (fieldsAt(fieldsAt(each, "params"), "_meta")[META.version] !== undefined) {
      return refused(400, null, INVALID_REQUEST, `There are no batches in ${NEWER_REVISION}`);
    }
    if (each.method === "initialize") {
      return refused(400, null, INVALID_REQUEST, "initialize may not be in a batch");
    }
    messages.push(each);
  }
  return { kind: "older", messages, isBatch: true };
}

/** Whether an `MCP-Protocol-Version` of an older session is one that foster speaks; absent is the session's own. */
export function isKnownOlder(version: string | null): boolean {
  return version === null || OLDER_REVISIONS.includes(version.trim());
}

function checkName(id: RequestId, method: string, params: Fields, header: Posted["header"]): Refusal | null {
  const field = NAME_OF.get(method);
  const value = field === undefined ? undefined : params[field];
  if (typeof value !== "string") return null;
  const stated = trimmed(header("mcp-name"));
  if (stated === null) return missing(id, "Mcp-Name", value);
  return decodeHeader(stated) === value ? null : mismatch(id, "Mcp-Name", stated, value);
}

/** The text of a header value that may be written as `=?base64?…?=`; null where that is malformed. */
export function decodeHeader(value: string): string | null {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(value)?.[1];
  if (encoded === undefined) return value;
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(encoded)) return null;
  try {
    const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function envelopeFault(meta: Fields): string | null {
  if (typeof meta[META.version] !== "string") return `${META.version} is no text`;
  if (!isObject(meta[META.clientCapabilities])) return `${META.clientCapabilities} is missing or no object`;
  return META.clientInfo in meta && !isObject(meta[META.clientInfo])
    ? `${META.clientInfo} is no object`
    : null;
}

function isMessage(value: Fields): boolean {
  if (value.jsonrpc !== "2.0") return false;
  if ("id" in value && idOf(value) === null && !("error" in value)) return false;
  return typeof value.method === "string" ? true : "result" in value || isObject(value.error);
}

function idOf({ id }: Fields): RequestId | null {
  return typeof id === "string" || typeof id === "number" ? id : null;
}

function isNewer(version: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(version) && version >= NEWER_REVISION;
}

function older(body: Fields): Classified {
  return { kind: "older", messages: [body], isBatch: false };
}

function trimmed(value: string | null): string | null {
  return value === null ? null : value.replace(/^[ \t]+|[ \t]+$/g, "");
}

function unsupported(id: RequestId | null, requested: unknown): Refusal {
  return refused(400, id, UNSUPPORTED_VERSION, `Unsupported protocol version: ${requested}`, {
    supported: [NEWER_REVISION],
    requested,
  });
}

function mismatch(id: RequestId | null, header: string, stated: string, body: string): Refusal {
  return refused(
    400,
    id,
    HEADER_MISMATCH,
    `${header} says ${JSON.stringify(stated)}, the body ${JSON.stringify(body)}`,
    {
      mismatch: { header: stated, body },
    },
  );
}

function missing(id: RequestId, header: string, body: string): Refusal {
  return refused(
    400,
    id,
    HEADER_MISMATCH,
    `The header ${header} is missing; the body says ${JSON.stringify(body)}`,
  );
}

function refused(
  status: number,
  id: RequestId | null,
  code: number,
  message: string,
  data?: unknown,
): Refusal {
  return { kind: "refused", status, id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}
