/**
 * Names of files as they may be shown on a terminal.
 *
 * @module
 */

/** What JSON leaves as it is, but a terminal acts upon: DEL, C1, zero-width, bidirectional, line separators. */
const unshowable = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** The name as it is where it is plain, else in quotes with everything escaped that a terminal would act upon. */
export function quoteName(name: string): string {
  if (/^[\w.+@%,:=/-]+$/.test(name)) return name;
  return JSON.stringify(name).replace(
    unshowable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
