import type { Host } from "../host/host.ts";
import { COMMIT, VERSION } from "../version.ts";

/** What this foster is, as `--version` and `version` say it. */
export function versionDocument({ engine, system }: Host) {
  return { version: VERSION, engine: engine.name, engine_version: engine.version, system, commit: COMMIT };
}

export function versionLine({ engine, system }: Host, { verbose }: { verbose: boolean }): string {
  if (!verbose) return `foster ${VERSION}`;
  const form = engine.standalone ? `compiled from ${COMMIT ?? "an unknown commit"}` : "from source";
  return `foster ${VERSION} (${engine.name} ${engine.version}, ${form}, ${system} ${engine.arch})`;
}
