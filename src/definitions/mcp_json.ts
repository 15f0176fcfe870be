/**
 * A project's `.mcp.json` as its clients read it: what they know and foster does not is passed over.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { slug } from "./hash.ts";
import { ENV_NAME, SERVER_NAME, type WrittenServer } from "./schema.ts";

/** A server of the file that foster does not hold, and why not. */
export interface PassedOver {
  name: string;
  reason: string;
  /** The server that an entry of foster's own connects to, and the definition file that it names. */
  connects?: { name: string; config: string | null };
}

export interface McpJson {
  servers: ReadonlyMap<string, WrittenServer>;
  passedOver: readonly PassedOver[];
}

/** Null where the file has no list of servers. */
export function readMcpJson(value: unknown): McpJson | null {
  if (!isObject(value)) return null;
  // Copilot CLI takes the list without anything around it.
  const list = value["mcpServers"] ?? (Object.values(value).every(isEntry) ? value : undefined);
  if (!isObject(list)) return null;
  const servers = new Map<string, WrittenServer>();
  const passedOver: PassedOver[] = [];
  const keys = new Map<string, string>();
  for (const [name, entry] of Object.entries(list)) {
    const server = serverOf(name, entry);
    const other = keys.get(slug(name));
    if (typeof server === "string") passedOver.push({ name, reason: server, ...connected(entry) });
    else if (other !== undefined) {
      passedOver.push({ name, reason: `its name is the same folder as "${other}"` });
    } else {
      servers.set(name, server);
      keys.set(slug(name), name);
    }
  }
  return { servers, passedOver };
}

function isEntry(value: unknown): boolean {
  return isObject(value) && (typeof value["command"] === "string" || typeof value["url"] === "string");
}

/** The definition, or why there is none. */
function serverOf(name: string, entry: unknown): WrittenServer | string {
  if (!isObject(entry)) return "it is no object";
  const { command, args = [], env = {}, cwd, url, disabled } = entry;
  if (typeof command !== "string" || command.trim() === "") {
    return typeof url === "string"
      ? "it is remote: foster runs servers of this machine"
      : "it has no command";
  }
  if (disabled === true) return "it is switched off there";
  if (isFosterCommand(command)) return "it runs foster itself";
  if (!SERVER_NAME.test(name)) {
    return "its name is not 1 to 64 letters, digits, dots, underscores, hyphens or spaces";
  }
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === "string")) {
    return "its args are no list of texts";
  }
  const values = isObject(env) ? Object.entries(env) : [];
  if (!isObject(env) || !values.every(([key, each]) => ENV_NAME.test(key) && typeof each === "string")) {
    return "its env is no object of texts";
  }
  return {
    command: translated(command),
    ...(args.length === 0 ? {} : { args: args.map(translated) }),
    ...(values.length === 0
      ? {}
      : { env: Object.fromEntries(values.map(([key, each]) => [key, translated(String(each))])) }),
    ...(typeof cwd === "string" && cwd.trim() !== "" ? { cwd: translated(cwd) } : {}),
    transport: "stdio",
  };
}

/** What attach wrote in the place of a definition leads to where that is now. */
function connected(entry: unknown): Pick<PassedOver, "connects"> {
  if (!isObject(entry) || typeof entry["command"] !== "string" || !isFosterCommand(entry["command"])) {
    return {};
  }
  const args = Array.isArray(entry["args"]) ? entry["args"].map(String) : [];
  const name = args[0] === "connect" ? args[1] : undefined;
  if (name === undefined || name.startsWith("-")) return {};
  const config = args.includes("--config") ? args[args.indexOf("--config") + 1] : undefined;
  return { connects: { name, config: config ?? null } };
}

/** Whether a client's entry starts foster: as a server of foster it would start one foster after the other. */
export function isFosterCommand(command: string): boolean {
  return /^foster(?:-[a-z0-9-]+)?(?:\.exe)?$/i.test(command.split(/[\\/]/).at(-1) ?? "");
}

/** `${NAME}` and `${NAME:-default}` are these clients' only variables: everything else is text. */
function translated(text: string): string {
  return text.replaceAll(
    /\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^{}]*)?\})?/g,
    (whole, name?: string, fallback = "") => name === undefined ? `$${whole}` : `\${env:${name}${fallback}}`,
  );
}
