import { sha256Hex } from "../base/hash.ts";

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
