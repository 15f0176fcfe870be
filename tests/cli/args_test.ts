import { assertEquals, assertThrows } from "@std/assert";
import { type OptionSpec, readArgs, UsageError } from "../../src/cli/args.ts";

const OPTIONS: readonly OptionSpec[] = [
  { name: "lines", kind: "number", alias: "n", value: "N", summary: "how many" },
  { name: "timeout", kind: "duration", value: "D", summary: "how long" },
  { name: "all", kind: "flag", summary: "every one" },
];

for (
  const [argv, message] of [
    [["-n", "-5"], "-n takes a whole number, not -5"],
    [["--lines", "-5"], "--lines takes a whole number, not -5"],
    [["--timeout", "-5s"], "--timeout takes a duration such as 5s, not -5s"],
    [["--all", "-5"], "unknown option -5"],
    [["-5"], "unknown option -5"],
  ] as const
) {
  Deno.test(`readArgs() answers ${argv.join(" ")} with: ${message}`, () => {
    assertEquals(assertThrows(() => readArgs(argv, OPTIONS), UsageError).message, message);
  });
}

Deno.test("readArgs() leaves what stands after -- alone", () => {
  assertEquals(readArgs(["-n", "3", "--", "-n", "-5"], OPTIONS).rest, ["-n", "-5"]);
});
