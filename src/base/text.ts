/**
 * Small readers of what system tools print. All of them take text as it comes: any line ending, any padding.
 *
 * @module
 */
const BYTE_ORDER_MARK = "\ufeff";

/** The lines of a text that are not blank, without their line endings. */
export function linesOf(text: string): string[] {
  const body = text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  return body.split(/\r\n|\n|\r/).filter((line) => line.trim() !== "");
}

/** The fields of a line, separated by any amount of blanks. */
export function fieldsOf(line: string): string[] {
  const trimmed = line.trim();
  return trimmed === "" ? [] : trimmed.split(/\s+/);
}

/** A number written with nothing but digits, null for everything else. */
export function wholeNumber(text: string | undefined): number | null {
  if (text === undefined || !/^\d+$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}

/** A pid as tools print it: digits only and more than 0, null for everything else. */
export function pidOf(text: string | undefined): number | null {
  const value = wholeNumber(text);
  return value !== null && value > 0 ? value : null;
}

/** Undoes lsof's `\xc3\xa9`, which it prints for every byte that its locale does not know. */
export function unescapeName(name: string): string {
  return name.replace(/(?:\\x[0-9a-f]{2})+/g, (escaped) => {
    const bytes = escaped.split("\\x").slice(1).map((hex) => Number.parseInt(hex, 16));
    return new TextDecoder().decode(Uint8Array.from(bytes));
  });
}

/** `3m 20s`, `2h 5m`, `4d 1h`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

const EXCERPT_CHARS = 200;

/** The beginning of a text, on one line. */
export function excerptOf(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > EXCERPT_CHARS ? `${line.slice(0, EXCERPT_CHARS)}…` : line;
}

/** The kind of a file as a sentence names it. */
export function fileKind(kind: string): string {
  return kind === "other" ? "device, pipe or socket" : kind;
}
