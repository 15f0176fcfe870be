import { assertEquals, assertMatch } from "@std/assert";
import { decideGuard, type GuardRules } from "../../src/gateway/guard.ts";

const TOKEN = "a".repeat(64);
const RULES: GuardRules = { port: 4000, hosts: [], token: TOKEN, limitBytes: 1000 };
const BEARER = { authorization: `Bearer ${TOKEN}` };
const OWN = "127.0.0.1:4000";

interface Case {
  what: string;
  expected: string;
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  rules?: Partial<GuardRules>;
  says?: RegExp;
}

const CASES: Case[] = [
  { what: "the token and its own address", expected: "pass", headers: BEARER },
  { what: "localhost", expected: "pass", headers: { ...BEARER, host: "localhost:4000" } },
  { what: "IPv6's loopback", expected: "pass", headers: { ...BEARER, host: "[::1]:4000" } },
  { what: "another port", expected: "403", headers: { ...BEARER, host: "127.0.0.1:4001" } },
  { what: "no port", expected: "403", headers: { ...BEARER, host: "127.0.0.1" } },
  { what: "a name before an @", expected: "403", headers: { ...BEARER, host: `x@${OWN}` }, says: /--host/ },
  { what: "two Host headers", expected: "403", headers: { ...BEARER, host: `${OWN}, evil.example` } },
  { what: "no Host header", expected: "403", headers: { ...BEARER, host: "" } },
  { what: "0.0.0.0", expected: "403", headers: { ...BEARER, host: "0.0.0.0:4000" } },
  { what: "a rebound name", expected: "403", headers: { ...BEARER, host: "evil.example:4000" } },
  {
    what: "a name that --host allows",
    expected: "pass",
    headers: { ...BEARER, host: "box.lan:4000" },
    rules: { hosts: ["box.lan"] },
  },
  { what: "a loopback page", expected: "pass", headers: { ...BEARER, origin: "http://localhost:5173" } },
  { what: "Origin null", expected: "403", headers: { ...BEARER, origin: "null" } },
  { what: "another site's page", expected: "403", headers: { ...BEARER, origin: "https://evil.example" } },
  {
    what: "a name that begins like the loopback",
    expected: "403",
    headers: { ...BEARER, origin: "http://localhost.evil.example" },
  },
  {
    what: "two Origins",
    expected: "403",
    headers: { ...BEARER, origin: "http://localhost, http://localhost" },
  },
  { what: "a cross-site fetch", expected: "403", headers: { ...BEARER, "sec-fetch-site": "cross-site" } },
  { what: "a same-site fetch", expected: "pass", headers: { ...BEARER, "sec-fetch-site": "same-site" } },
  { what: "what the page asks", expected: "page", path: "/ui/watch", headers: { origin: `http://${OWN}` } },
  { what: "what the page asks, without an Origin", expected: "page", path: "/ui/watch" },
  {
    what: "what the page asks, from another page of this machine",
    expected: "403",
    path: "/ui/servers/docs/stop",
    method: "POST",
    headers: { ...BEARER, origin: "http://localhost:5173" },
    says: /own page/,
  },
  {
    what: "a preflight of another page of this machine for what the page asks",
    expected: "403",
    path: "/ui/servers/docs/stop",
    method: "OPTIONS",
    headers: { origin: "http://localhost:5173" },
  },
  {
    what: "what the page asks, under a name that --host allows",
    expected: "page",
    path: "/ui/watch",
    headers: { host: "box.lan:4000", origin: "http://box.lan:4000" },
    rules: { hosts: ["box.lan"] },
  },
  {
    what: "a preflight without a token",
    expected: "preflight",
    method: "OPTIONS",
    headers: { origin: "http://localhost:5173" },
  },
  {
    what: "a preflight of another site",
    expected: "403",
    method: "OPTIONS",
    headers: { origin: "https://e.ex" },
  },
  { what: "OPTIONS without an Origin", expected: "401", method: "OPTIONS" },
  { what: "the metadata of OAuth", expected: "404", path: "/.well-known/oauth-protected-resource" },
  { what: "where clients guess an authorization server", expected: "404", path: "/register", method: "POST" },
  { what: "the page", expected: "open", path: "/" },
  { what: "the health check", expected: "open", path: "/healthz" },
  { what: "a POST to the page", expected: "405", method: "POST", path: "/" },
  { what: "a foreign Host's page", expected: "403", path: "/", headers: { host: "evil.example" } },
  { what: "no token", expected: "401", says: /gateway\.token/ },
  { what: "a wrong token", expected: "401", headers: { authorization: `Bearer ${"b".repeat(64)}` } },
  { what: "a token of another length", expected: "401", headers: { authorization: "Bearer abc" } },
  { what: "Basic", expected: "401", headers: { authorization: "Basic abc" }, says: /no bearer/ },
  {
    what: "a variable that the client did not replace",
    expected: "401",
    headers: { authorization: "Bearer ${FOSTER_TOKEN}" },
    says: /\$\{FOSTER_TOKEN\}/,
  },
  { what: "a token in the address", expected: "401", path: `/mcp?token=${TOKEN}`, says: /logs/ },
  { what: "a large body", expected: "413", headers: { ...BEARER, "content-length": "1001" } },
  { what: "large headers", expected: "431", headers: { ...BEARER, "x-a": "a".repeat(17_000) } },
  { what: "no token with --no-token", expected: "pass", rules: { token: null } },
  {
    what: "its own page with --no-token",
    expected: "pass",
    rules: { token: null },
    headers: { origin: `http://${OWN}` },
  },
  {
    what: "another local page with --no-token",
    expected: "403",
    rules: { token: null },
    headers: { origin: "http://localhost:5173" },
  },
  { what: "control", expected: "control", method: "POST", path: "/control/hello" },
  { what: "control with --no-token", expected: "control", path: "/control/state", rules: { token: null } },
  {
    what: "control of a page",
    expected: "403",
    path: "/control/state",
    headers: { origin: `http://${OWN}` },
  },
  {
    what: "control under a foreign Host",
    expected: "403",
    path: "/control/state",
    headers: { host: "e.ex:4000" },
  },
];

for (const { what, expected, method = "GET", path = "/mcp/docs", headers = {}, rules, says } of CASES) {
  Deno.test(`decideGuard() answers ${expected} to ${what}`, () => {
    const given = new Headers({ host: OWN, ...headers });
    if (headers.host === "") given.delete("host");
    const decision = decideGuard({ ...RULES, ...rules }, {
      method,
      url: `http://${OWN}${path}`,
      headers: given,
    });
    assertEquals(decision.kind === "refuse" ? String(decision.status) : decision.kind, expected);
    if (says !== undefined) assertMatch(decision.kind === "refuse" ? decision.message : "", says);
  });
}

Deno.test("decideGuard() never repeats a token that it was given", () => {
  const secret = "s3cr3t".repeat(6);
  for (const headers of [{ authorization: `Bearer ${secret}` }, { authorization: `Token ${secret}` }]) {
    const decision = decideGuard(RULES, {
      method: "GET",
      url: `http://${OWN}/mcp?token=${secret}`,
      headers: new Headers({ host: OWN, ...headers }),
    });
    assertEquals(JSON.stringify(decision).includes(secret), false);
  }
});
