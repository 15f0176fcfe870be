/**
 * Recognises a client that frames its messages in another way than line by line.
 *
 * @module
 */
import { errorLine, PARSE_ERROR } from "../relay/message.ts";

const HEADER = /^content-(length|type)\s*:/i;
const HEADER_START_BYTES = 64;

export type Framing =
  | { kind: "line" }
  /** To be answered, once. */
  | { kind: "headers"; answer: Uint8Array; message: string }
  /** Part of what was answered already. */
  | { kind: "ignored" };

const MESSAGE = "This client sends Content-Length headers; over stdio every message is one line of JSON, " +
  "with a line end after it and nothing before it";

/** Looks at each line before it is read as a message. */
export class FramingCheck {
  #isTold = false;

  look(line: Uint8Array): Framing {
    const isHeader = HEADER.test(decoder.decode(line.subarray(0, HEADER_START_BYTES)));
    if (isHeader && !this.#isTold) {
      this.#isTold = true;
      return {
        kind: "headers",
        answer: errorLine(null, { code: PARSE_ERROR, message: MESSAGE }),
        message: MESSAGE,
      };
    }
    // Without line ends the next header follows a message directly, and neither can be read.
    return isHeader || (this.#isTold && TAIL.test(tailOf(line))) ? { kind: "ignored" } : { kind: "line" };
  }
}

const TAIL = /content-length\s*:\s*\d+\s*$/i;
const decoder = new TextDecoder();

function tailOf(line: Uint8Array): string {
  return decoder.decode(line.subarray(-HEADER_START_BYTES));
}
