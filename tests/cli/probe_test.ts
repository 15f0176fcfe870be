import { assertEquals } from "@std/assert";
import { runFoster } from "../../src/cli/app.ts";
import { FakeHost } from "../host/fake_host.ts";
import { STATE, typed } from "./command_line.ts";

for (
  const [address, meant] of [
    ["localhost:3000/mcp", "http://localhost:3000/mcp"],
    ["localhost:3000", "http://localhost:3000/mcp"],
    ["127.0.0.1:3000/sse", "http://127.0.0.1:3000/sse"],
    ["[::1]:3000/mcp?x=1", "http://[::1]:3000/mcp?x=1"],
    ["example.com/mcp", "http://example.com/mcp"],
  ] as const
) {
  Deno.test(`probe ${address} says that the scheme is missing`, async () => {
    const { code, stderr } = await typed(["probe", address]);
    assertEquals([code, stderr], [2, `${address} is not a URL\n  did you mean ${meant}?\n`]);
  });
}

Deno.test("probe takes anything else for a server's name", async () => {
  for (const what of ["demoo", "localhost", "./mcp", "a:b", "localhost:99999"]) {
    const { code, stderr } = await typed(["probe", what]);
    assertEquals([code, stderr.split(" (")[0]], [2, `"${what}" is no server, no preset and no key`]);
  }
});

Deno.test("probe asks another machine only where its URL was typed", async () => {
  const asked: string[] = [];
  const host = new FakeHost({ env: { HOME: "/home/user", FOSTER_STATE_DIR: STATE } });
  host.net.onFetch = (request) => {
    asked.push(new URL(request.url).host);
    return new Response("no", { status: 403 });
  };
  assertEquals(await runFoster(host, ["probe", "http://192.0.2.1:9/mcp"]), 1);
  assertEquals([...new Set(asked)], ["192.0.2.1:9"]);
});

Deno.test("probe shows neither user name nor password of an address", async () => {
  for (
    const address of [
      "http://user:s3cret@127.0.0.1:9/mcp",
      "ftp://user:s3cret@127.0.0.1/",
      "http://user:s3cret@[::/",
    ]
  ) {
    for (const json of [[], ["--json"]]) {
      const { stdout, stderr } = await typed(["probe", address, ...json]);
      assertEquals([stdout + stderr].filter((text) => /s3cret|user/.test(text)), []);
    }
  }
});

Deno.test("probe of a server that never had a port says that it is not there, as of any that does not answer", async () => {
  const { code, stdout } = await typed(["probe", "demo", "--json"]);
  const { ok, endpoint, message } = JSON.parse(stdout);
  assertEquals([code, ok, endpoint], [1, false, null]);
  assertEquals(message, '"demo" has no port yet: foster up "demo" gives it one');
});
