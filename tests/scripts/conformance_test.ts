import { assertEquals } from "@std/assert";
import { isMeaningless, lostChecks, MEANINGLESS, passesOf } from "../../scripts/conformance.ts";

Deno.test("passesOf() counts a check that never failed, and no warning", () => {
  const scenarios = new Map([
    ["ping", [{ id: "a", status: "SUCCESS" }, { id: "b", status: "WARNING" }]],
    ["tools", [{ id: "a", status: "SUCCESS" }, { id: "a", status: "FAILURE" }, {
      id: "c",
      status: "SUCCESS",
    }]],
  ]);
  assertEquals([...passesOf(scenarios)], ["ping/a", "tools/c"]);
});

Deno.test("lostChecks() names what passes directly alone, but for what the bridge answers by itself", () => {
  const direct = new Set([
    "ping/a",
    "tools/b",
    "http-header-validation/x",
    "server-stateless/sep-http-server-400",
  ]);
  assertEquals(lostChecks(direct, new Set(["ping/a"])), ["tools/b"]);
});

Deno.test("isMeaningless() names whole scenarios and single checks, most of them only where foster translates", () => {
  const across = MEANINGLESS.find(({ isTranslated }) => isTranslated)?.scenario;
  assertEquals(
    [true, false].map((isTranslated) => isMeaningless(`${across}/check`, { isTranslated })),
    [true, false],
  );
  const always = MEANINGLESS.find(({ isTranslated }) => !isTranslated)?.scenario ?? "";
  assertEquals([true, false].map((isTranslated) => isMeaningless(always, { isTranslated })), [true, true]);
  assertEquals(isMeaningless(`${across}-more/check`, { isTranslated: true }), false);
});
