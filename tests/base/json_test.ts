import { assertEquals } from "@std/assert";
import { isDeeperThan, omit, parseExactly } from "../../src/base/json.ts";

Deno.test("parseExactly() keeps every number as it was written", () => {
  for (
    const text of [
      '{"a":12345678901234567890}',
      '{"a":1.0,"b":[1e400,-0,1.50,2]}',
      '{"a":1E5}',
      '{"a":123456789.123456789,"b":0.0000001}',
      '{"a":[1,2.5,-3],"b":"12345678901234567890"}',
    ]
  ) assertEquals(JSON.stringify(parseExactly(text)), text);
});

Deno.test("parseExactly() gives plain values where a number is usual", () => {
  assertEquals(parseExactly('{"a":[1,2.5,-3,"x",null,true]}'), { a: [1, 2.5, -3, "x", null, true] });
});

Deno.test("isDeeperThan() counts what is open at the same time, and nothing within a text", () => {
  const deep = (text: string) => isDeeperThan(new TextEncoder().encode(text), 3);
  assertEquals(["[[[1]]]", '[[],[[]],{"a":{}}]', '["[[[[", "\\"[[[["]'].map(deep), [false, false, false]);
  assertEquals(["[[[[1]]]]", '{"a":[{"b":{}}]}', "[[[["].map(deep), [true, true, true]);
});

Deno.test("omit() leaves the named keys out of the copy", () => {
  const whole = { a: 1, b: 2, c: 3 };
  assertEquals(omit(whole, "a", "z"), { b: 2, c: 3 });
  assertEquals(whole, { a: 1, b: 2, c: 3 });
});
