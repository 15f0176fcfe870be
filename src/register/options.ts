/**
 * What `register` is told about a server: the decision whether it makes sense.
 *
 * @module
 */
import type { RegisteredTransport } from "../registry/process_files.ts";

export interface RegisterOptions {
  transport: RegisteredTransport;
  /** `host:port` of a loopback address. */
  bind: string | null;
  httpPath: string | null;
}

export type RegisterRead =
  | { kind: "options"; options: RegisterOptions }
  | { kind: "wrong"; message: string; hint: string };

export const DEFAULT_HTTP_PATH = "/mcp";

export function readRegisterOptions(
  { transport, bind, httpPath }: { transport: string | null; bind: string | null; httpPath: string | null },
): RegisterRead {
  if (transport !== "stdio" && transport !== "http") {
    const message = transport === null ? "--transport is missing" : `--transport ${transport} is not known`;
    return wrong(message, "it is stdio or http");
  }
  if (httpPath !== null && bind === null) {
    return wrong("--http-path needs --bind", "--bind 127.0.0.1:3001 says where the path is");
  }
  if (transport === "stdio" && bind !== null) {
    return wrong("--bind is for --transport http", "a server that speaks stdio listens nowhere");
  }
  if (bind === null) return { kind: "options", options: { transport, bind, httpPath } };
  if (!isLoopbackBind(bind)) {
    return wrong(
      `--bind ${JSON.stringify(bind)} is not a loopback address with a port`,
      "such as 127.0.0.1:3001, localhost:3001 or [::1]:3001; other machines must not reach it",
    );
  }
  const path = httpPath ?? DEFAULT_HTTP_PATH;
  const problem = problemOfPath(path);
  if (problem !== null) return wrong(`--http-path ${JSON.stringify(path)} ${problem}`, "such as /mcp");
  return { kind: "options", options: { transport, bind, httpPath: path } };
}

function wrong(message: string, hint: string): RegisterRead {
  return { kind: "wrong", message, hint };
}

/** Whether it names an address of this machine alone, and a port. */
export function isLoopbackBind(bind: string): boolean {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(bind) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < 1 || port > 65_535) return false;
  if (bracketed !== undefined) return bracketed === "::1" || bracketed === "0:0:0:0:0:0:0:1";
  if (plain?.toLowerCase() === "localhost") return true;
  const parts = /^127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(plain ?? "")?.slice(1);
  return parts !== undefined && parts.every((part) => Number(part) <= 255);
}

function problemOfPath(path: string): string | null {
  if (!path.startsWith("/")) return 'must begin with "/"';
  if (/[?#]/.test(path)) return "must have neither query nor fragment";
  if (/[*{}]/.test(path)) return "must have no wildcard";
  return /[^\u0021-\u007e]/.test(path) ? "must have neither blanks nor control characters" : null;
}
