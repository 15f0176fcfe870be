import { assertEquals } from "@std/assert";
import { guardRequest, refusal } from "../../src/demo/guard.ts";

const LOOPBACK = { host: "127.0.0.1:3001" };

const ALLOWED: Record<string, string>[] = [
  LOOPBACK,
  { host: "127.0.0.1" },
  { host: "localhost" },
  { host: "LocalHost:80" },
  { host: "localhost." },
  { host: "localhost.:3001" },
  { host: "[::1]" },
  { host: "[::1]:3001" },
  { ...LOOPBACK, origin: "" },
  { ...LOOPBACK, origin: "  " },
  { ...LOOPBACK, origin: "http://localhost" },
  { ...LOOPBACK, origin: "https://127.0.0.1:8443" },
  { ...LOOPBACK, origin: "ws://[::1]:9500" },
  { ...LOOPBACK, origin: "WSS://LOCALHOST:9500" },
  { ...LOOPBACK, "sec-fetch-site": "same-origin" },
  { ...LOOPBACK, "sec-fetch-site": "none" },
];

const REFUSED: Record<string, string>[] = [
  {},
  { host: "" },
  { host: "::1" },
  { host: "[::1" },
  { host: "0.0.0.0" },
  { host: "127.0.0.2" },
  { host: "localhost:" },
  { host: "localhost:port" },
  { host: "localhost.evil.example" },
  { host: "evil.example" },
  { host: "localhost@evil.example" },
  { host: "localhost, localhost" },
  { ...LOOPBACK, origin: "null" },
  { ...LOOPBACK, origin: "http://evil.example" },
  { ...LOOPBACK, origin: "http://localhost.evil.example" },
  { ...LOOPBACK, origin: "file://localhost" },
  { ...LOOPBACK, origin: "localhost" },
  { ...LOOPBACK, origin: "http://localhost/path" },
  { ...LOOPBACK, origin: "http://localhost, http://localhost" },
  { ...LOOPBACK, "sec-fetch-site": "cross-site" },
  { ...LOOPBACK, "sec-fetch-site": "Same-Site" },
  { ...LOOPBACK, "sec-fetch-site": "none, none" },
];

for (const [kind, table] of [["allowed", ALLOWED], ["refused", REFUSED]] as const) {
  for (const headers of table) {
    Deno.test(`guardRequest() says ${kind} when the headers are ${JSON.stringify(headers)}`, () => {
      assertEquals(guardRequest({ get: (name) => headers[name] ?? null }).kind, kind);
    });
  }
}

Deno.test("refusal() is 403 in plain text", async () => {
  const response = refusal("Host is missing");
  assertEquals(response.status, 403);
  assertEquals(response.headers.get("content-type"), "text/plain; charset=utf-8");
  assertEquals(await response.text(), "Forbidden: Host is missing\n");
});
