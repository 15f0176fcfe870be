import { assertEquals } from "@std/assert";
import { Output, type OutputOptions } from "../../src/cli/output.ts";
import { FakeTerminal } from "../host/fake_host.ts";

const FORGED =
  "x  1.0\n✓ prod  stopped\r\nready\u2028\u0085  \u202egnp.exe\u200b\x1b[31mred\x1b]0;title\x07\u009b1m";
/** Whatever a terminal acts on, or that nobody sees; foster's own colours apart. */
const HARMFUL =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\ufdd0-\ufdd4]|\u001b(?!\[(?:0|2|31|32|33)m)/u;

function shown(print: (output: Output) => void, options: Partial<OutputOptions> = {}): string {
  const terminal = new FakeTerminal();
  terminal.stderrIsTerminal = true;
  print(new Output(terminal, { json: false, quiet: false, verbose: true, color: false, ...options }));
  return terminal.outText + terminal.errText.replaceAll("\r\x1b[2K", "");
}

const WAYS: Record<string, (output: Output) => void> = {
  "line()": (output) => output.line(FORGED),
  "line() in colour": (output) => output.line(output.paint(FORGED, "good")),
  "table()": (output) => output.table([["NAME"], [FORGED]], () => "bad"),
  "document()": (output) => output.document({ [FORGED]: FORGED }),
  "event()": (output) => output.event({ type: "log", line: FORGED }),
  "problem()": (output) => output.problem(FORGED),
  "talk()": (output) => output.talk(FORGED),
  "detail()": (output) => output.detail(FORGED),
  "progress()": (output) => output.progress(FORGED),
  "indented()": (output) => output.indented(FORGED),
};
for (const [name, print] of Object.entries(WAYS)) {
  for (const color of [false, true]) {
    Deno.test(`${name} shows nothing that a terminal acts on, color ${color}`, () => {
      const text = shown(print, { color });
      assertEquals(HARMFUL.exec(text.replaceAll("\r\n", ""))?.[0], undefined, JSON.stringify(text));
      // deno-lint-ignore no-control-regex
      const forged = text.split("\n").filter((line) => /^(?:\x1b\[\d+m)*(?:✓|ready)/.test(line));
      assertEquals(forged, []);
    });
  }
}

Deno.test("line() prints one line, whatever the text holds", () =>
  assertEquals(shown((output) => output.line(FORGED)).split("\n").length, 2));

Deno.test("event() and document() keep what they escape", () => {
  assertEquals(JSON.parse(shown((output) => output.event({ type: "log", line: FORGED }))).line, FORGED);
  assertEquals(JSON.parse(shown((output) => output.document([FORGED]))), [FORGED]);
});

Deno.test("problem() indents every line but the first, and leaves deeper ones as they are", () =>
  assertEquals(
    shown((output) => output.problem("Cannot start\n✓ all\n    at x")),
    "Cannot start\n  ✓ all\n    at x\n",
  ));

Deno.test("paint() colours where colours are wanted, and nowhere else", () => {
  const print = (output: Output) => output.line(`${output.paint("✓", "good")} docs`);
  assertEquals(shown(print, { color: true }), "\x1b[32m✓\x1b[0m docs\n");
  assertEquals(shown(print), "✓ docs\n");
});
