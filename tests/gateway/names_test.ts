import { assertEquals, assertMatch } from "@std/assert";
import { commonName, CommonNames, labelsOf } from "../../src/gateway/names.ts";

for (
  const [server, name, common] of [
    ["docs", "search", "docs__search"],
    ["my docs.v2", "a/b:c", "my_docs_v2__a_b_c"],
    ["café", "x", "caf___x"],
    ["s", "x".repeat(45), `s__${"x".repeat(45)}`],
    ["s", "x".repeat(46), `s__${"x".repeat(38)}_98c488`],
  ] as const
) {
  Deno.test(`commonName() of ${server} and ${name} is ${common}`, () => {
    const got = commonName(server, name);
    assertMatch(got, /^[A-Za-z0-9_-]{1,48}$/);
    assertEquals(got, common);
  });
}

Deno.test("CommonNames: a name that two servers would get belongs to the first, and the other has its own", () => {
  const names = new CommonNames();
  assertEquals(names.add({ key: "a-1", name: "x.y" }, "s"), "s__x_y");
  const second = names.add({ key: "b-2", name: "x_y" }, "s");
  assertMatch(second, /^s__x_y_+[0-9a-f]{6}$/);
  assertEquals(names.owner("s__x_y"), { key: "a-1", name: "x.y" });
  assertEquals(names.owner(second), { key: "b-2", name: "x_y" });
  assertEquals(names.add({ key: "b-2", name: "x_y" }, "s"), second, "the same each time");
  names.remove("a-1");
  assertEquals(names.owner("s__x_y"), null);
  assertEquals(names.owner("toString"), null);
});

Deno.test("labelsOf() calls servers of one name by their keys", () => {
  assertEquals(
    labelsOf([{ key: "docs", name: "docs" }, { key: "docs-12345678", name: "docs" }, {
      key: "b",
      name: "B",
    }]),
    new Map([["docs", "docs"], ["docs-12345678", "docs-12345678"], ["b", "B"]]),
  );
});
