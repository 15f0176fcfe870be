/**
 * One server of a client's settings, whichever of their spellings it is in.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { splitWords } from "../base/words.ts";

export interface EntryServer {
  /** Null where the entry only says where a server is. */
  command: string | null;
  args: string[];
  env: Record<string, string>;
  cwd: string | null;
  envFile: string | null;
  url: string | null;
  /** `sse`, `http` or whatever the client calls it. */
  type: string | null;
  headers: Record<string, string>;
  /** Variables that the client passes on by their name. */
  passedOn: string[];
  isDisabled: boolean;
  /** The client keeps it from files and network. */
  isSandboxed: boolean;
  /** Keys that mean nothing to foster. */
  ignored: string[];
}

const UNDERSTOOD = new Set([
  ...[
    "command",
    "cmd",
    "args",
    "env",
    "environment",
    "envs",
    "cwd",
    "envFile",
    "type",
    "transport",
    "transportType",
  ],
  ...[
    "url",
    "serverUrl",
    "httpUrl",
    "uri",
    "headers",
    "http_headers",
    "requestOptions",
    "bearer_token_env_var",
  ],
  ...[
    "env_http_headers",
    "env_vars",
    "env_keys",
    "source",
    "enabled",
    "disabled",
    "name",
    "description",
    "apiKey",
  ],
  // Of the client's own handling of it: nothing that foster would do.
  ...[
    "timeout",
    "autoApprove",
    "alwaysAllow",
    "alwaysLoad",
    "trust",
    "includeTools",
    "excludeTools",
    "tools",
  ],
  ...[
    "enabled_tools",
    "disabled_tools",
    "disabledTools",
    "startup_timeout_sec",
    "tool_timeout_sec",
    "required",
  ],
  ...[
    "bundled",
    "available_tools",
    "connectionTimeout",
    "remote",
    "gallery",
    "version",
    "dev",
    "oauth",
    "scopes",
  ],
  ...[
    "default_tools_approval_mode",
    "request_timeout_ms",
    "sandboxEnabled",
    "disableToolCache",
    "faviconUrl",
  ],
]);

/** The reader is one for all clients: their field names differ and do not contradict each other. */
export function readEntry(entry: Readonly<Record<string, unknown>>): EntryServer {
  const nested = isObject(entry["transport"]) ? entry["transport"] : {};
  const given = isObject(entry["command"]) ? entry["command"] : {};
  const value: Record<string, unknown> = { ...entry, ...nested, ...given };
  if (isObject(entry["command"])) value["command"] = given["path"];
  const [command, args] = commandOf(value);
  const options = isObject(value["requestOptions"]) ? value["requestOptions"] : {};
  const headers = {
    ...textsOf(value["headers"]),
    ...textsOf(value["http_headers"]),
    ...textsOf(options["headers"]),
  };
  const bearer = textOf(value["bearer_token_env_var"]);
  if (bearer !== null) headers["Authorization"] = `Bearer \${env:${bearer}}`;
  for (const [name, variable] of Object.entries(textsOf(value["env_http_headers"]))) {
    headers[name] = `\${env:${variable}}`;
  }
  const type = textOf(value["type"]) ?? textOf(value["transportType"]) ?? textOf(value["transport"]);
  return {
    command,
    args,
    env: { ...textsOf(value["env"]), ...textsOf(value["environment"]), ...textsOf(value["envs"]) },
    cwd: textOf(value["cwd"]),
    envFile: textOf(value["envFile"]),
    url:
      ["url", "serverUrl", "httpUrl", "uri"].map((key) => textOf(value[key])).find((each) => each !== null) ??
        null,
    type,
    headers,
    passedOn: [value["env_vars"], value["env_keys"]].flatMap((each) =>
      Array.isArray(each) ? each.map(String) : []
    ),
    isSandboxed: value["sandboxEnabled"] === true,
    isDisabled: value["disabled"] === true || value["enabled"] === false,
    ignored: Object.keys(entry).filter((key) => !UNDERSTOOD.has(key)),
  };
}

function commandOf(value: Readonly<Record<string, unknown>>): [command: string | null, args: string[]] {
  const given = value["command"] ?? value["cmd"];
  const args = Array.isArray(value["args"]) ? value["args"].map(String) : [];
  if (Array.isArray(given)) {
    const [program, ...before] = given.map(String);
    return [program ?? null, [...before, ...args]];
  }
  const text = textOf(given);
  // Some clients take a whole command line; a program's own path may have blanks.
  if (
    text !== null && args.length === 0 && value["args"] === undefined && !/^(?:[A-Za-z]:)?[\\/]/.test(text)
  ) {
    const [program, ...more] = splitWords(text.trim()) ?? [];
    if (program !== undefined && more.length > 0) return [program, more];
  }
  return [text, args];
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value.trim() !== "" ? value : null;
}

/** Numbers and switches as texts; null removes a variable there, and foster has no word for that. */
function textsOf(value: unknown): Record<string, string> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) =>
      ["string", "number", "boolean"].includes(typeof each) ? [[key, String(each)]] : []
    ),
  );
}
