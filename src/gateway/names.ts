/**
 * Names in the list that all servers share: which server a tool, prompt or resource belongs to.
 *
 * @module
 */
import { sha256Hex } from "../base/hash.ts";

/** What clients take in all, less the prefix that they add themselves. */
const NAME_LIMIT = 48;
const HASH_DIGITS = 6;

/** The name of a server's tool or prompt in the common list. */
export function commonName(server: string, name: string): string {
  const text = `${server}__${name}`.replace(/[^A-Za-z0-9_-]/g, "_");
  return text.length <= NAME_LIMIT ? text : shortened(text, text);
}

function shortened(text: string, hashed: string): string {
  return `${text.slice(0, NAME_LIMIT - HASH_DIGITS - 1)}_${sha256Hex(hashed).slice(0, HASH_DIGITS)}`;
}

export interface Owner {
  key: string;
  /** As the server itself calls it. */
  name: string;
}

/**
 * Common names of one kind (tools, say) over all servers. The first server keeps a name that two would get: the other's
 * carries a hash of its own.
 */
export class CommonNames {
  #owners = new Map<string, Owner>();
  #names = new Map<string, string>();

  /** The common name of a server's own one. `label` is the server's name, or its key where two share the name. */
  add({ key, name }: Owner, label: string): string {
    const own = JSON.stringify([key, name]);
    const known = this.#names.get(own);
    if (known !== undefined) return known;
    let common = commonName(label, name);
    if (this.#owners.has(common)) common = shortened(common.padEnd(NAME_LIMIT, "_"), own);
    this.#owners.set(common, { key, name });
    this.#names.set(own, common);
    return common;
  }

  owner(common: string): Owner | null {
    return this.#owners.get(common) ?? null;
  }

  /** Forgets a server that is gone. */
  remove(key: string): void {
    for (const [common, owner] of this.#owners) {
      if (owner.key !== key) continue;
      this.#owners.delete(common);
      this.#names.delete(JSON.stringify([key, owner.name]));
    }
  }
}

/** What each server is called in common names: its name, or its key where the name is not its own alone. */
export function labelsOf(servers: readonly { key: string; name: string }[]): Map<string, string> {
  const counts = new Map<string, number>();
  for (const { name } of servers) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(servers.map(({ key, name }) => [key, counts.get(name) === 1 ? name : key]));
}
