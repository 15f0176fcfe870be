/**
 * The way into a child under Bun: its Node stream calls a write done when it only lies in its own buffer, and says nothing of
 * a pipe that turns out to be broken.
 *
 * @module
 */
import { type NodeSink, toSink } from "../node/streams.ts";

/** What Bun writes to a pipe with. */
interface FileSink {
  /** True where the pipe is closed. */
  write(chunk: Uint8Array): number | true | Promise<number | true>;
  flush(): number | Promise<number>;
}

/** A write is done once the system has the bytes. A write to a closed pipe rejects. */
export function childSink(stdin: NodeSink): WritableStream<Uint8Array> {
  const pipe = fileSinkOf(stdin);
  if (pipe === null) return toSink(stdin);
  return new WritableStream<Uint8Array>({
    start(controller) {
      stdin.on("error", (error) => controller.error(error));
    },
    async write(chunk) {
      const written = pipe.write(chunk);
      // In one go: Bun flushes by itself a moment later, and keeps to itself what goes wrong then.
      const flushed = written instanceof Promise ? null : pipe.flush();
      if (await written === true) throw new Error("the pipe is closed");
      await (flushed ?? pipe.flush());
    },
    close() {
      return new Promise((resolve) => stdin.end(resolve));
    },
    abort() {
      stdin.destroy();
    },
  });
}

/** Bun keeps it under a symbol of its own. */
function fileSinkOf(stdin: NodeSink): FileSink | null {
  for (const symbol of Object.getOwnPropertySymbols(stdin)) {
    const value: unknown = Reflect.get(stdin, symbol);
    if (isFileSink(value)) return value;
  }
  return null;
}

function isFileSink(value: unknown): value is FileSink {
  return typeof value === "object" && value !== null && "flush" in value &&
    typeof value.flush === "function" &&
    "write" in value && typeof value.write === "function";
}
