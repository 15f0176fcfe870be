// CSI and OSC sequences, other escapes, and control characters but tab and line feed.
const ESCAPES =
  // deno-lint-ignore no-control-regex
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b.|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** A server's output as it may be shown: without terminal escapes and control characters. */
export function printable(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ESCAPES, "");
}

/** What JSON leaves as it is, but a terminal acts on: DEL, C1, zero-width, bidirectional, line separators. */
const UNSHOWABLE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** The name as it is where it is plain, else in quotes with everything escaped that a terminal would act on. */
export function quoteName(name: string): string {
  if (/^[\w.+@%,:=/-]+$/.test(name)) return name;
  return JSON.stringify(name).replace(
    UNSHOWABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
