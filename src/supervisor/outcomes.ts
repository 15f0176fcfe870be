/**
 * What a bridge answers when it can't keep its server.
 *
 * @module
 */
import { emptyRow, type Outcome, plainOutcome, rowOfRecord, type ServerRow } from "../lifecycle/row.ts";
import type { ProcessIdentity } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";

/** Another bridge keeps the server. */
export function supervisedAlready(folder: ServerFolder, { name, rival }: {
  name: string;
  rival: ProcessIdentity;
}): Outcome {
  const message = `"${name}" is supervised already, by pid ${rival.pid}`;
  const hint = `foster status "${name}" shows it; foster down "${name}" ends both`;
  return plainOutcome({ name }, folder, { kind: "guarded", state: "guarded", message, hint });
}

/** What the bridge was to keep was taken away before it came. */
export function tooLate(folder: ServerFolder, name: string): Outcome {
  const message = `"${name}": stopped by foster down before its bridge was there`;
  return plainOutcome({ name }, folder, { kind: "no", state: "stopped", message, hint: "" });
}

/** The server is there, but foster has no record of it. */
export function notStartedByFoster(row: ServerRow, name: string): Outcome {
  const message = `"${name}" was started by somebody else: foster can't restart what it did not start`;
  return { kind: "refused", row: { ...row, message } };
}

/** The budget of restarts is used up. */
export async function exhausted(
  folder: ServerFolder,
  { name, message }: { name: string; message: string },
): Promise<Outcome> {
  const stored = await folder.read();
  const row = stored.kind === "record" ? rowOfRecord(stored.record, "crashed") : emptyRow(name, folder.key);
  const hint = `foster logs "${name}" --crash shows its last words; foster up "${name}" tries again`;
  return {
    kind: "exhausted",
    row: { ...row, state: "crashed", message, hint },
  };
}

/** Why a start came to nothing, in one line: the server's last words are in its crash log. */
export function failureOf({ kind, row }: Outcome): string {
  const [line = ""] = row.message.split("\n");
  const said = line.replace(/; its last words:$/, "");
  return `${kind === "crashed" ? "exited before it was ready" : "probe failed"}: ${said}`;
}
