import { assertEquals } from "@std/assert";
import { splitWords } from "../../src/base/words.ts";

Deno.test("splitWords() splits as a shell, and gives null where a quote has no partner", () => {
  const table: [string, string[] | null][] = [
    ["", []],
    ["  a  b\tc ", ["a", "b", "c"]],
    ["a 'b c' \"d e\"", ["a", "b c", "d e"]],
    ["--name='my docs'x", ["--name=my docsx"]],
    ["a '' \"\"", ["a", "", ""]],
    ["a\\ b c\\\\d", ["a b", "c\\d"]],
    ['"a\\"b\\c"', ['a"b\\c']],
    ["'a\\b'", ["a\\b"]],
    ["a\\", ["a\\"]],
    ["$HOME *.ts", ["$HOME", "*.ts"]],
    ["a 'b", null],
    ['a "b', null],
  ];
  for (const [text, words] of table) assertEquals(splitWords(text), words, text);
});
