/**
 * What foster says of `--port` and `--version`, which hold until `down`.
 *
 * @module
 */

export interface Kept {
  port: number | null;
  version: string | null;
}

/** That an earlier command line still counts, and how to be rid of it; "" where there was none. */
export function overridesHint(name: string, { port, version }: Partial<Kept>): string {
  const said = [port == null ? "" : `--port ${port}`, version == null ? "" : `--version ${version}`]
    .filter((each) => each !== "");
  if (said.length === 0) return "";
  const [holds, them] = said.length === 1 ? ["holds", "it"] : ["hold", "them"];
  return `${
    said.join(" and ")
  } of an earlier foster up still ${holds}; foster down "${name}" forgets ${them}`;
}

/** How to get another version than the one that was found. */
export function versionHint(name: string, { kept, asked }: Record<"kept" | "asked", string | null>): string {
  if (kept !== null) return overridesHint(name, { version: kept });
  if (asked !== null) {
    return `--version ${asked} asked for that and is remembered; foster down "${name}" forgets it`;
  }
  return `correct "version" in its definition`;
}

export function joinHints(...hints: readonly string[]): string {
  return hints.filter((hint) => hint !== "").join("; ");
}
