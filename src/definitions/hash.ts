/**
 * The names that foster keeps a definition under: its key, and the hash of what was written, which tells that a running
 * server was started from another definition than today's.
 *
 * @module
 */
import { canonicalJson, sha256Hex } from "../base/hash.ts";
import { DEFAULTS } from "./defaults.ts";
import type { ServerDefinition } from "./definition.ts";

// Windows opens a device under these names, whatever extension follows.
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/;

/**
 * A name as a folder name that is safe on every system: lower case, `[a-z0-9._-]`, no leading or trailing dot, no
 * Windows device.
 */
export function slug(name: string): string {
  const plain = name.toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^\.+|\.+$/g, "_");
  return DEVICE.test(plain) ? `_${plain}` : plain;
}

/** The key of a project's server: two projects may use one name. `realFile` is the definition file's real path. */
export function projectKey(name: string, realFile: string): string {
  return `${slug(name)}-${sha256Hex(realFile).slice(0, 8)}`;
}

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
  "envFile",
  "stdin",
] as const;

type HashedKey = typeof HASHED[number];

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
    // Writing a default out changes nothing, so it does not count.
    if (!(key in DEFAULTS) || text !== canonicalJson(DEFAULTS[key as keyof typeof DEFAULTS])) {
      fields.push([key, text]);
    }
  }
  return fields;
}
