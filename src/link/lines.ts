export type InputLine =
  | { kind: "line"; text: string }
  | { kind: "too_long"; bytes: number }
  | { kind: "not_text" };

/**
 * Splits a stream into lines, one asked for at a time: what is not asked for is not read. A line longer than
 * `limitBytes` is skipped without being kept, one that is not UTF-8 likewise. Empty lines do not count.
 */
export async function* readLines(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<InputLine> {
  const line = new LineBuilder(limitBytes);
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const chunk = read.value;
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      line.add(chunk.subarray(from, end));
      from = end + 1;
      const done = line.take();
      if (done !== null) yield done;
    }
    line.add(chunk.subarray(from));
  }
  const last = line.take();
  if (last !== null) yield last;
}

const NEWLINE = 10;

class LineBuilder {
  readonly #limitBytes: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  add(part: Uint8Array): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#limitBytes) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part);
  }

  take(): InputLine | null {
    const bytes = this.#bytes;
    const parts = this.#parts;
    this.#bytes = 0;
    this.#parts = [];
    if (bytes > this.#limitBytes) return { kind: "too_long", bytes };
    const decoder = new TextDecoder("utf-8", { fatal: true });
    try {
      const text = parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
      return text.trim() === "" ? null : { kind: "line", text };
    } catch {
      return { kind: "not_text" };
    }
  }
}
