// CSI and OSC sequences, other escapes, and control characters but tab and line feed.
const ESCAPES =
  // deno-lint-ignore no-control-regex
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b.|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** A server's output as it may be shown: without terminal escapes and control characters. */
export function printable(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ESCAPES, "");
}
