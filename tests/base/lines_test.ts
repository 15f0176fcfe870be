import { assertEquals } from "@std/assert";
import { readLines } from "../../src/base/lines.ts";

async function collect(chunks: (string | Uint8Array)[], limitBytes = 100): Promise<(string | number)[]> {
  const bytes = chunks.map((chunk) => typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  const lines: (string | number)[] = [];
  for await (const line of readLines(ReadableStream.from(bytes).getReader(), limitBytes)) {
    lines.push(line.kind === "line" ? new TextDecoder().decode(line.bytes) : line.sizeBytes);
  }
  return lines;
}

Deno.test("readLines() joins what the chunks tore apart, within a character too", async () => {
  const bytes = new TextEncoder().encode("é\n");
  const chunks = ["a", "b\nc\r\n", "\n\nd", bytes.slice(0, 1), bytes.slice(1), "last"];
  assertEquals(await collect(chunks), ["ab", "c\r", "", "", "dé", "last"]);
});

Deno.test("readLines() skips a line over the limit without keeping it, and goes on", async () => {
  const lines = await collect(["x".repeat(60), "x".repeat(60), "\nok\n", "y".repeat(100), "\n"]);
  assertEquals(lines, [120, "ok", "y".repeat(100)]);
});

Deno.test("readLines() reads no further than it is asked to", async () => {
  let pulled = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1;
      controller.enqueue(new TextEncoder().encode("line\n"));
    },
  }, { highWaterMark: 0 });
  const lines = readLines(stream.getReader(), 100);
  await lines.next();
  await lines.next();
  assertEquals(pulled, 2);
});
