import { assertEquals } from "@std/assert";
import { isLoopback, localUrl } from "../../src/base/local_url.ts";

const endpoint = new URL("http://127.0.0.1:3001/mcp");

for (
  const [reference, href] of [
    ["/status", "http://127.0.0.1:3001/status"],
    ["/a/../..//evil.example/x", "http://127.0.0.1:3001//evil.example/x"],
    ["/%2f%2fevil.example/x", "http://127.0.0.1:3001/%2f%2fevil.example/x"],
    ["/@evil.example/x", "http://127.0.0.1:3001/@evil.example/x"],
    ["http://127.0.0.1:3001/other", "http://127.0.0.1:3001/other"],
    ["http://0x7f.1:3001/other", "http://127.0.0.1:3001/other"],
    ["http:evil.example", "http://127.0.0.1:3001/evil.example"],
    ["?x=1", "http://127.0.0.1:3001/mcp?x=1"],
  ] as const
) {
  Deno.test(`localUrl() resolves ${reference}`, () => {
    const local = localUrl(reference, endpoint);
    assertEquals(local.kind === "local" ? local.url.href : local.why, href);
  });
}

for (
  const reference of [
    "//evil.example/x",
    "//127.0.0.2:3001/x",
    "/\\evil.example/x",
    "\\\\evil.example/x",
    "/\t/evil.example/x",
    "/\n/evil.example/x",
    "\u0000//evil.example",
    " //evil.example",
    "/a b",
    "http://evil.example/",
    "https://127.0.0.1:3001/mcp",
    "http://127.0.0.1:3002/mcp",
    "http://localhost:3001/mcp",
    "http://127.0.0.1:3001@evil.example/",
    "http://user@127.0.0.1:3001/",
    "http://user:secret@127.0.0.1:3001/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://",
    "http://127.0.0.1:99999/",
  ]
) {
  Deno.test(`localUrl() refuses ${JSON.stringify(reference)}, and its reason shows no secret`, () => {
    const local = localUrl(reference, endpoint);
    assertEquals(local.kind, "refused");
    if (local.kind === "refused") assertEquals(local.why.includes("secret"), false);
  });
}

Deno.test("localUrl() without an origin takes any address of the loopback, and no other", () => {
  for (
    const href of [
      "http://localhost:1/",
      "ws://127.0.0.1:1/",
      "https://[::1]:1/",
      "http://[::ffff:127.0.0.1]/",
    ]
  ) {
    assertEquals(localUrl(href).kind, "local", href);
    assertEquals(localUrl(new URL(href)).kind, "local", href);
  }
  for (
    const href of [
      "/path",
      "http://0.0.0.0:1/",
      "http://[::]/",
      "http://192.168.0.1/",
      "http://localhost.evil.example/",
      "http://127.0.0.1.evil.example/",
      "http://127.evil.example/",
      "http://[::2]/",
    ]
  ) assertEquals(localUrl(href).kind, "refused", href);
});

Deno.test("isLoopback() takes IPv6 with and without brackets", () => {
  for (const host of ["::1", "[::1]", "127.255.0.9", "LOCALHOST", "::ffff:127.0.0.1", "[::ffff:7f00:1]"]) {
    assertEquals(isLoopback(host), true, host);
  }
  for (const host of ["", "::", "0.0.0.0", "10.0.0.1", "::ffff:10.0.0.1", "::ffff:8f00:1", "local"]) {
    assertEquals(isLoopback(host), false, host);
  }
});
