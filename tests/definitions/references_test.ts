import { assertEquals } from "@std/assert";
import { unsetVariables } from "../../src/definitions/references.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { define } from "./machine.ts";

const CASES: { name: string; written: WrittenServer; tier?: string; unset: string[] }[] = [
  { name: "none where none is asked for", written: { args: ["$${env:KEY}", "${port}"] }, unset: [] },
  { name: "one in env", written: { env: { A: "x${env:KEY}" } }, unset: ["KEY"] },
  {
    name: "each of them once",
    written: { args: ["${env:KEY}", "${env:OTHER}"], env: { A: "${env:KEY}" } },
    unset: ["KEY", "OTHER"],
  },
  {
    name: "none that is set, be it to nothing",
    written: { args: ["${env:SET}", "${env:EMPTY}"] },
    unset: [],
  },
  { name: "none of a group, which may be left out", written: { args: [["--key", "${env:KEY}"]] }, unset: [] },
  {
    name: "one in the session",
    written: { session: { env: "S", payload: { deep: [{ key: "${env:KEY}" }] } } },
    unset: ["KEY"],
  },
  {
    name: "those of the tier that is started",
    written: {
      command: undefined,
      launch: [{ tier: "a", command: "x", args: ["${env:A}"] }, { tier: "b", command: "${env:B}" }],
    },
    tier: "b",
    unset: ["B"],
  },
];
const ENV: Record<string, string> = { SET: "value", EMPTY: "" };
for (const { name, written, tier = "command", unset } of CASES) {
  Deno.test(`unsetVariables() names ${name}`, () =>
    assertEquals(unsetVariables(define(written), { tier, env: (key) => ENV[key] }), unset));
}
