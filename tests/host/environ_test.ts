import { assertEquals } from "@std/assert";
import { undecodableNames, undecodableVariables } from "../../src/host/system/linux/environ.ts";

/** Bytes as they are; é is one byte here. */
function environ(...entries: string[]): Uint8Array {
  return Uint8Array.from(entries.flatMap((entry) => [...`${entry}\0`].map((char) => char.charCodeAt(0))));
}

Deno.test("undecodableNames() names variables whose bytes are no UTF-8, and no others", () => {
  const bytes = environ(
    "PATH=/bin",
    "LATIN=caf\xe9",
    "UTF8=caf\xc3\xa9",
    "EMPTY=",
    "CUT=\xe2\x82",
    "=x",
    "\xff",
  );
  assertEquals(undecodableNames(bytes), ["LATIN", "CUT"]);
  assertEquals(undecodableNames(new Uint8Array()), []);
  assertEquals(undecodableNames(environ("A=\xff").subarray(0, 3)), ["A"]);
});

Deno.test("undecodableVariables() goes by the engine's substitute where there is no /proc", () => {
  assertEquals(undecodableVariables({ A: "caf\ufffd", B: "b", C: undefined }, null), ["A"]);
});
