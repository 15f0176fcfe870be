import { isObject } from "./json.ts";

/** SHA-256 as an engine has it. */
export interface Hashing {
  /** As lower-case hexadecimal digits. */
  sha256(content: string | Uint8Array): string;
  /** Keyed with a secret. */
  hmacSha256(secret: string, content: string): string;
}

let hashing: Hashing | null = null;

/** An engine's own way. Without one `node:crypto` does it, which costs each program 1.6 MiB under Bun. */
export function setHashing(own: Hashing): void {
  hashing = own;
}

function current(): Hashing {
  if (hashing !== null) return hashing;
  const { createHash, createHmac } = process.getBuiltinModule("node:crypto");
  return hashing = {
    sha256: (content) => createHash("sha256").update(content).digest("hex"),
    hmacSha256: (secret, content) => createHmac("sha256", secret).update(content).digest("hex"),
  };
}

/** JSON with sorted keys and no spaces: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const fields = Object.keys(value).sort().map((key) =>
    `${JSON.stringify(key)}:${canonicalJson(value[key])}`
  );
  return `{${fields.join(",")}}`;
}

/** SHA-256 of bytes, or of a text's UTF-8 bytes, as 64 hexadecimal digits. */
export function sha256Hex(content: string | Uint8Array): string {
  return current().sha256(content);
}

/** HMAC-SHA-256 of a text's UTF-8 bytes, as 64 hexadecimal digits. */
export function hmacSha256Hex(secret: string, content: string): string {
  return current().hmacSha256(secret, content);
}
