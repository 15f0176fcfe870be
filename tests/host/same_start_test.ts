import { isSameStart } from "../../src/host/host.ts";
import { assertEquals } from "@std/assert";

const SECOND = "ps:Fri Nov 20 19:07:01 2026";

const cases: [what: string, one: string | null, other: string | null, same: boolean][] = [
  ["the same text", "proc:boot:77", "proc:boot:77", true],
  ["other ticks", "proc:boot:77", "proc:boot:7", false],
  ["another boot", "proc:boot:77", "proc:later:77", false],
  ["ticks that only look like a fraction", "proc:boot:77", "proc:boot:77.000001", false],
  ["a Windows time and a part of it", "cim:20261120190701", "cim:20261120190701.123456", false],
  ["what ps read and what the system tells", SECOND, `${SECOND}.123456`, true],
  ["what the system tells and what ps read", `${SECOND}.123456`, SECOND, true],
  ["the same microsecond", `${SECOND}.123456`, `${SECOND}.123456`, true],
  ["another microsecond of the same second", `${SECOND}.123456`, `${SECOND}.123457`, false],
  ["another second", "ps:Fri Nov 20 19:07:02 2026", `${SECOND}.123456`, false],
  ["another year that begins with the same digits", "ps:Fri Nov 20 19:07:01 20261", SECOND, false],
  ["a fraction that is none", `${SECOND}.`, SECOND, false],
  ["a fraction that is too short", `${SECOND}.123`, SECOND, false],
  ["nothing and a start time", null, SECOND, false],
  ["an empty text and a start time", "", SECOND, false],
  ["a placeholder and a start time", "never", SECOND, false],
];
for (const [what, one, other, same] of cases) {
  Deno.test(`isSameStart() is ${same} of ${what}`, () => {
    assertEquals(isSameStart(one, other), same);
    assertEquals(isSameStart(other, one), same);
  });
}
