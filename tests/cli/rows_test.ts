import { assertEquals } from "@std/assert";
import { Output } from "../../src/cli/output.ts";
import { printOutcomes } from "../../src/cli/rows.ts";
import { emptyRow, type OutcomeKind, OUTCOMES } from "../../src/lifecycle/row.ts";
import { FakeTerminal } from "../host/fake_host.ts";

function printed(kind: OutcomeKind, { message, hint }: { message: string; hint: string }) {
  const terminal = new FakeTerminal();
  const output = new Output(terminal, { json: false, quiet: false, verbose: false, color: false });
  const row = { ...emptyRow("docs", "docs"), state: OUTCOMES[kind].state, message, hint };
  const code = printOutcomes(output, [{ kind, row }]);
  return { code, out: terminal.outText, err: terminal.errText };
}

for (
  const [kind, code, word] of [
    ["usage", 2, "wrong name, definition or environment"],
    ["foreign_port", 14, "port held"],
    ["not_ready", 15, "not ready"],
    ["crashed", 10, "crashed"],
  ] as const
) {
  Deno.test(`printOutcomes() says "${word}" of ${kind}, then the reason, then the advice`, () => {
    assertEquals(printed(kind, { message: "why", hint: "what to do" }), {
      code,
      out: `✗ docs  ${word}\n`,
      err: "why\n  what to do\n",
    });
  });
}

Deno.test("printOutcomes() puts the advice before a message that fills several lines", () => {
  const message = `not in ${"/a/folder, ".repeat(40)}`;
  const { err } = printed("no_command", { message, hint: "install it" });
  assertEquals(err, `install it\n  ${message}\n`);
});
