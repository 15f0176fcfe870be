/**
 * Starts a server once through foster's own connect, so that what it lists is known before the first client waits for it.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import { type Host, HostError } from "../../host/host.ts";

export type FirstStart = { kind: "started"; tools: number } | { kind: "failed"; why: string };

const TIMEOUT_MS = 60_000;
const LIST_ID = 2;

const INPUT = [
  {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "foster-attach", version: "1" },
    },
  },
  { jsonrpc: "2.0", method: "notifications/initialized" },
  { jsonrpc: "2.0", id: LIST_ID, method: "tools/list" },
].map((message) => `${JSON.stringify(message)}\n`).join("");

/** `env` is what the client's entry adds to the caller's environment. Never throws for the server's sake. */
export async function startOnce(
  { processes, env }: Pick<Host, "processes" | "env">,
  { command, args, added }: {
    command: string;
    args: readonly string[];
    added: Readonly<Record<string, string>>;
  },
): Promise<FirstStart> {
  try {
    const { stdout } = await processes.run(command, args, {
      timeoutMs: TIMEOUT_MS,
      env: { ...env.all(), ...added },
      input: INPUT,
    });
    return answerIn(stdout);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const why = error.code === "timeout" ? "it did not answer within 60 s" : error.message;
    return { kind: "failed", why };
  }
}

/** From the lines that connect wrote. */
export function answerIn(stdout: string): FirstStart {
  let why: string | null = null;
  for (const line of stdout.split("\n")) {
    const message = parsed(line);
    if (!isObject(message)) continue;
    const { id, result, error } = message;
    if (id === LIST_ID && isObject(result)) {
      return { kind: "started", tools: Array.isArray(result["tools"]) ? result["tools"].length : 0 };
    }
    // Where initialize failed, what follows fails for that alone.
    if (isObject(error) && typeof error["message"] === "string") why ??= error["message"];
  }
  return { kind: "failed", why: why ?? "it gave no answer" };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
