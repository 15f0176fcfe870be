/**
 * What a server says of itself when asked, and how far it is to be believed.
 *
 * @module
 */
import { isObject } from "../base/json.ts";

export interface StatusSnapshot {
  /** An HTTP answer came. */
  reachable: boolean;
  /** Empty where it is not told. */
  version: string;
  /** Empty where it is not told. */
  name: string;
  /** 0 where it is not told. */
  wsPort: number;
  /** 0 where there was no answer. */
  statusCode: number;
  /**
   * Empty where all went well; else `connect_<reason>`, `response_timeout`, `response_<reason>`, `http_<code>`,
   * `invalid_json`, `too_large` or `cancelled`.
   */
  error: string;
  /** Where the server was loaded from; empty where it is not told. */
  packagePath: string;
}

/** The snapshot of a server that was not reached. */
export const UNREACHED: Readonly<StatusSnapshot> = {
  reachable: false,
  version: "",
  name: "",
  wsPort: 0,
  statusCode: 0,
  error: "",
  packagePath: "",
};

export type ParsedStatus = Pick<StatusSnapshot, "version" | "name" | "wsPort" | "packagePath">;

/** Reads a status endpoint's answer; null where it is not a JSON object. */
export function parseStatus(text: string): ParsedStatus | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value)) return null;
  const { name, ws_port: wsPort, package_path: packagePath } = value;
  return {
    version: textOf(value.server_version) || textOf(value.version),
    name: textOf(name),
    wsPort: typeof wsPort === "number" && Number.isInteger(wsPort) ? wsPort : 0,
    packagePath: textOf(packagePath),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
