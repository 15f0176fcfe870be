// CSI and OSC sequences, other escapes, and control characters but tab and line feed.
const ESCAPES =
  // deno-lint-ignore no-control-regex
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b.|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Neither seen nor harmless: zero-width and bidirectional characters, line separators, halves of characters. */
const UNSEEN = /[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text of several lines as it may be shown: without terminal escapes, control and invisible characters. */
export function printable(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ESCAPES, "").replace(UNSEEN, "");
}

/** As {@link printable}, on one line: nothing in it can look like another line of the answer. */
export function oneLine(text: string): string {
  return printable(text.replace(/[\r\n\u0085\u2028\u2029]+/g, " "));
}

/** JSON as a terminal may be given it: what JSON leaves as it is, but a terminal acts on, is written as escapes. */
export function printableJson(json: string): string {
  return json.replace(UNSHOWABLE, escaped);
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** What JSON leaves as it is, but a terminal acts on: DEL, C1, zero-width, bidirectional, line separators. */
const UNSHOWABLE = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The name as it is where it is plain, else in quotes with everything escaped that a terminal would act on. */
export function quoteName(name: string): string {
  if (/^[\w.+@%,:=/-]+$/.test(name)) return name;
  return printableJson(JSON.stringify(name));
}
