import { assertEquals } from "@std/assert";
import { closest, didYouMean, similarity, similarNames } from "../../src/base/suggest.ts";

Deno.test("similarNames() gives the best three with half the letter pairs in common", () => {
  const known = ["create_node", "create_nodes", "create_mode", "created_node", "delete_all", "ping"];
  assertEquals(similarNames("create_node", known), ["create_node", "create_nodes", "created_node"]);
  assertEquals(similarNames("zzz", known), []);
});

Deno.test("similarNames() takes in exactly one half", () => {
  assertEquals(similarity("abc", "abd"), 0.5);
  assertEquals(similarNames("abc", ["abd"]), ["abd"]);
});

const cases: [a: string, b: string, score: number][] = [
  ["same", "same", 1],
  ["", "", 1],
  ["a", "b", 0],
  ["night", "nacht", 0.25],
  ["aaaa", "aa", 0.5],
];
for (const [a, b, score] of cases) {
  Deno.test(`similarity() of "${a}" and "${b}" is ${score}`, () => assertEquals(similarity(a, b), score));
}

Deno.test("closest() finds what was meant, and nothing where nothing is near", () => {
  const keys = ["port", "wsPort", "path", "command", "requiredTools"];
  const table: [string, string | null][] = [
    ["prot", "port"],
    ["Port", "port"],
    ["wsport", "wsPort"],
    ["comand", "command"],
    ["required_tools", "requiredTools"],
    ["banana", null],
    ["x", null],
  ];
  for (const [word, found] of table) assertEquals(closest(word, keys), found, word);
  assertEquals(didYouMean("prot", keys), 'did you mean "port"?');
});
