import { concat } from "./bytes.ts";

export type StreamLine =
  | { kind: "line"; bytes: Uint8Array }
  /** Longer than the limit: skipped, its bytes counted. */
  | { kind: "too_long"; sizeBytes: number };

const NEWLINE = 10;

/**
 * The lines of a stream without their ends, one asked for at a time: what is not asked for is not read. A last line
 * needs no end. Nothing of a line beyond `limitBytes` is kept.
 */
export async function* readLines(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<StreamLine> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const add = (part: Uint8Array) => {
    sizeBytes += part.length;
    if (sizeBytes > limitBytes) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  const take = (): StreamLine => {
    const line: StreamLine = sizeBytes > limitBytes
      ? { kind: "too_long", sizeBytes }
      : { kind: "line", bytes: concat(parts) };
    parts = [];
    sizeBytes = 0;
    return line;
  };
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const chunk = read.value;
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, end));
      from = end + 1;
      yield take();
    }
    add(chunk.subarray(from));
  }
  if (sizeBytes > 0) yield take();
}
