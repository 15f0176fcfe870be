/**
 * The definition's fingerprint: what tells that a running server was started from other words than today's.
 *
 * @module
 */
import { canonicalJson, sha256Hex } from "../base/hash.ts";
import { DEFAULTS } from "./defaults.ts";
import type { ServerDefinition } from "./definition.ts";

/** The keys that make another server of it. All else may change under a running one. */
const HASHED = [
  "command",
  "launch",
  "args",
  "cwd",
  "env",
  "host",
  "port",
  "wsPort",
  "path",
  "transport",
  "version",
  "devSource",
  "telemetry",
  "session",
] as const;

type HashedKey = typeof HASHED[number];

// Writing a default out changes nothing, so it does not count.
const SAME_AS_UNWRITTEN: Partial<Record<HashedKey, string>> = {
  args: "[]",
  cwd: JSON.stringify(DEFAULTS.cwd),
  env: "{}",
  host: JSON.stringify(DEFAULTS.host),
  wsPort: "null",
  path: JSON.stringify(DEFAULTS.path),
  transport: JSON.stringify(DEFAULTS.transport),
  version: "null",
  devSource: "null",
  telemetry: "null",
  session: "null",
};

/**
 * The first 8 hex digits of each written key's hash: enough to name what changed, too little to give a value away.
 */
export type SpecParts = Readonly<Record<string, string>>;

/** SHA-256, in hex, of what the user wrote of the things that a start depends on. */
export function specHash(definition: Pick<ServerDefinition, "written">): string {
  const fields = hashedFields(definition).map(([key, text]) => `${JSON.stringify(key)}:${text}`);
  return sha256Hex(`{${fields.join(",")}}`);
}

/** The same, key by key. */
export function specParts(definition: Pick<ServerDefinition, "written">): SpecParts {
  const parts: Record<string, string> = {};
  for (const [key, text] of hashedFields(definition)) parts[key] = sha256Hex(text).slice(0, 8);
  return parts;
}

/** The keys that differ between two fingerprints, in the order of a definition. */
export function changedKeys(before: SpecParts, after: SpecParts): string[] {
  return HASHED.filter((key) => before[key] !== after[key]);
}

function hashedFields({ written }: Pick<ServerDefinition, "written">): [HashedKey, string][] {
  const fields: [HashedKey, string][] = [];
  for (const key of HASHED.toSorted()) {
    if (written[key] === undefined) continue;
    const text = canonicalJson(written[key]);
    if (text !== SAME_AS_UNWRITTEN[key]) fields.push([key, text]);
  }
  return fields;
}
