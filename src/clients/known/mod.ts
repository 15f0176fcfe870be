/**
 * Every client that foster knows. A further one is a file here, an import and a line in `CLIENTS`, and its name in
 * `ClientId`. Where it spells entries in a new way: `readEntry` in entry.ts; where it refers to variables in one:
 * references.ts; where it keeps its servers under a new key: `guessEntries` in settings.ts.
 *
 * @module
 */
import type { Client, ClientId } from "../client.ts";
import { claudeCode } from "./claude_code.ts";
import { claudeDesktop } from "./claude_desktop.ts";
import { cline } from "./cline.ts";
import { codex } from "./codex.ts";
import { continueDev } from "./continue.ts";
import { copilot } from "./copilot.ts";
import { cursor } from "./cursor.ts";
import { gemini } from "./gemini.ts";
import { goose } from "./goose.ts";
import { opencode } from "./opencode.ts";
import { vscode } from "./vscode.ts";
import { windsurf } from "./windsurf.ts";
import { zed } from "./zed.ts";

/** In the order of lists. */
export const CLIENTS: readonly Client[] = [
  claudeCode,
  claudeDesktop,
  cursor,
  vscode,
  zed,
  codex,
  gemini,
  windsurf,
  opencode,
  cline,
  continueDev,
  goose,
  copilot,
];

export function clientOf(id: string): Client | null {
  return CLIENTS.find((each) => each.id === id) ?? null;
}

export const CLIENT_IDS: readonly ClientId[] = CLIENTS.map(({ id }) => id);
