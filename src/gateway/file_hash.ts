import { sha256Hex } from "../base/hash.ts";
import type { ServerDefinition } from "../definitions/definition.ts";

/** What `/mcp/@HASH` calls a definition file by; null for presets. */
export function fileHash({ source }: Pick<ServerDefinition, "source">): string | null {
  return source.kind === "file" ? sha256Hex(source.file).slice(0, 8) : null;
}
