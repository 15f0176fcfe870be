import { assertEquals } from "@std/assert";
import { lostAtGateway, lostChecks, passesOf, UNTRANSLATABLE } from "../../scripts/conformance.ts";

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

Deno.test("lostAtGateway() names what passes directly alone, but for what is listed with a reason", () => {
  const listed = UNTRANSLATABLE.find(({ everywhere }) => !everywhere);
  const revision = listed?.revision ?? "";
  const direct = new Set(["ping/a", "tools/b", `${listed?.scenario}/c`]);
  const through = new Set(["ping/a"]);
  assertEquals(lostAtGateway(revision, { direct, through, isTranslated: true }), ["tools/b"]);
  assertEquals(lostAtGateway(revision, { direct, through, isTranslated: false }), [
    "tools/b",
    `${listed?.scenario}/c`,
  ]);
});
