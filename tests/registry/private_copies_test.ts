import { assertEquals } from "@std/assert";
import { decodePrivateCopy, privateCopiesFolder } from "../../src/registry/process_files.ts";
import { serverPaths } from "../../src/registry/paths.ts";

Deno.test("privateCopiesFolder() is in the server's own folder", () =>
  assertEquals(privateCopiesFolder(serverPaths("/state", "docs")), "/state/servers/docs/children"));

Deno.test("decodePrivateCopy() reads the copy and its owner, and nothing else", () => {
  const copy = { pid: 501, start_token: "proc:boot:1", owner: { pid: 502, start_token: "proc:boot:2" } };
  assertEquals(decodePrivateCopy(JSON.stringify({ ...copy, more: 1 })), copy);
});

const BAD = [
  "",
  "{",
  "null",
  "[]",
  '{"pid":501,"start_token":"x"}',
  '{"pid":501,"start_token":"x","owner":null}',
  '{"pid":501,"start_token":"x","owner":{"pid":502}}',
  '{"pid":"501","start_token":"x","owner":{"pid":502,"start_token":"y"}}',
  '{"pid":1.5,"start_token":"x","owner":{"pid":502,"start_token":"y"}}',
];
for (const text of BAD) {
  Deno.test(`decodePrivateCopy() reads nothing from ${JSON.stringify(text)}`, () =>
    assertEquals(decodePrivateCopy(text), null));
}
