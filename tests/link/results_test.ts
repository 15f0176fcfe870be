import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { cutArgs, DEFERRED, judgeResult, malformedReply } from "../../src/link/results.ts";

const results: [what: string, result: unknown, kind: string][] = [
  ["data", { data: {} }, "reply"],
  ["an error", { error: { code: "WRONG_TYPE", message: "no" } }, "reply"],
  ["the marker", DEFERRED, "deferred"],
  ["nothing", undefined, "malformed"],
  ["null", null, "malformed"],
  ["an empty object", {}, "malformed"],
  ["a list as data", { data: [1] }, "malformed"],
  ["a text as error", { error: "no" }, "malformed"],
  ["a text", "done", "malformed"],
];

for (const [what, result, kind] of results) {
  Deno.test(`judgeResult() finds ${kind} in ${what}`, () => assertEquals(judgeResult(result).kind, kind));
}

Deno.test("cutArgs() cuts at 400 characters and says so", () => {
  const exact = { a: "x".repeat(400 - '{"a":""}'.length) };
  assertEquals(cutArgs(exact), JSON.stringify(exact));
  const cut = cutArgs({ a: "x".repeat(1_000) });
  assertEquals([cut.length, cut.endsWith("x...")], [403, true]);
});

Deno.test("malformedReply() names the handler, the arguments and eight frames at most", () => {
  const stack = ["Error", ...Array.from({ length: 20 }, (_, at) => `    at frame${at} (file.ts:1:1)`)].join(
    "\n",
  );
  const { error } = malformedReply("render", { frames: 3 }, stack);
  assert(error !== undefined);
  assertEquals(error.code, "INTERNAL_ERROR");
  assertStringIncludes(error.message, "malformed result");
  assertStringIncludes(error.message, '"render"');
  assertStringIncludes(error.message, '{"frames":3}');
  const backtrace = error.data?.backtrace;
  assert(Array.isArray(backtrace));
  assertEquals(backtrace.length, 8);
  assertEquals(backtrace[0], "at frame0 (file.ts:1:1)");
});
