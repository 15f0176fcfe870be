import { assertEquals } from "@std/assert";
import { type InputLine, readLines } from "../../src/link/lines.ts";

async function collect(chunks: (string | Uint8Array)[], limitBytes = 100): Promise<InputLine[]> {
  const bytes = chunks.map((chunk) => typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  const lines: InputLine[] = [];
  for await (const line of readLines(ReadableStream.from(bytes).getReader(), limitBytes)) lines.push(line);
  return lines;
}

const line = (text: string): InputLine => ({ kind: "line", text });

Deno.test("readLines() joins what the chunks tore apart, within a character too", async () => {
  const bytes = new TextEncoder().encode("é\n");
  assertEquals(await collect(["a", "b\nc\r\n", "\n\nd", bytes.slice(0, 1), bytes.slice(1), "last"]), [
    line("ab"),
    line("c\r"),
    line("dé"),
    line("last"),
  ]);
});

Deno.test("readLines() skips a line over the limit without keeping it, and goes on", async () => {
  assertEquals(await collect(["x".repeat(60), "x".repeat(60), "\nok\n", "y".repeat(100), "\n"]), [
    { kind: "too_long", bytes: 120 },
    line("ok"),
    line("y".repeat(100)),
  ]);
});

Deno.test("readLines() reports a line that is not UTF-8, and goes on", async () => {
  assertEquals(await collect([new Uint8Array([0xff, 0xfe, 10]), "ok"]), [{ kind: "not_text" }, line("ok")]);
});
