import { assertEquals } from "@std/assert";
import { quoteName } from "../../src/base/printable.ts";

const cases: [name: string, shown: string][] = [
  [".tmpAb3_x", ".tmpAb3_x"],
  ["mcp-server==1.2.3", "mcp-server==1.2.3"],
  ["", '""'],
  [".tmp a", '".tmp a"'],
  ['.tmp"', '".tmp\\""'],
  [".tmp\nrm", '".tmp\\nrm"'],
  [".tmp\u001b[31mred", '".tmp\\u001b[31mred"'],
  [".tmp\u009b31m", '".tmp\\u009b31m"'],
  [".tmp\u202egnp", '".tmp\\u202egnp"'],
  [".tmp\u200b", '".tmp\\u200b"'],
  [".tmp\ud800", '".tmp\\ud800"'],
  [".tmpé", '".tmpé"'],
];

for (const [name, shown] of cases) {
  Deno.test(`quoteName() shows ${shown}`, () => assertEquals(quoteName(name), shown));
}
