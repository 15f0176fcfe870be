import type { ServerDefinition } from "./definition.ts";

export interface DefinitionOverrides {
  /** Null and undefined leave the definition's own. */
  port?: number | "auto" | null;
  version?: string | null;
}

/** The definition with what `--port` and `--version` say in place of its own words, in its fingerprint too. */
export function withOverrides(
  definition: ServerDefinition,
  overrides: DefinitionOverrides,
): ServerDefinition {
  const said = {
    ...(overrides.port == null ? {} : { port: overrides.port }),
    ...(overrides.version == null ? {} : { version: overrides.version }),
  };
  return { ...definition, ...said, written: { ...definition.written, ...said } };
}
