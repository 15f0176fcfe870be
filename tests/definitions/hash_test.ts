import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { changedKeys, specHash, specParts } from "../../src/definitions/hash.ts";
import { withOverrides } from "../../src/definitions/definition.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { define } from "./machine.ts";

const BASE: WrittenServer = { command: "x", port: 4001, args: ["a", ["b"]], env: { A: "1", B: "2" } };

Deno.test("specHash() changes with the keys that a start depends on", () => {
  const base = define(BASE);
  assertMatch(specHash(base), /^[0-9a-f]{64}$/);
  const changes: WrittenServer[] = [
    { command: "y" },
    { args: [["b"], "a"] },
    { cwd: "sub" },
    { env: { A: "1", B: "3" } },
    { host: "::1" },
    { port: "auto" },
    { wsPort: 9500 },
    { path: "/other" },
    { transport: "sse" },
    { version: "^1" },
    { devSource: { marker: "a/b.py" } },
    { telemetry: { disable: false, env: ["X"] } },
    { session: { env: "S" } },
    { envFile: "a.env" },
    { stdin: "open" },
  ];
  for (const change of changes) {
    const other = define({ ...BASE, ...change });
    assertNotEquals(specHash(base), specHash(other), JSON.stringify(change));
    assertEquals(changedKeys(specParts(base), specParts(other)), Object.keys(change));
  }
});

Deno.test("specHash() is the same for all else, for another order of keys and for defaults written out", () => {
  const same: WrittenServer[] = [
    { labels: ["x"], requiredTools: ["t"], brand: ["b"], brandFlags: ["-f"] },
    { ready: { timeout: "1s" }, restart: { max: 1 }, stop: { grace: "1s" } },
    { identity: { name: "x" }, refreshArgs: ["r"], modeEnv: "M", ownerEnv: "O", link: {} },
    { sharing: "shared", idle: "5m", headers: { A: "b" }, call: { timeout: "1s" }, stop: { command: "x" } },
    { env: { B: "2", A: "1" } },
    { host: "127.0.0.1", wsPort: null, path: "/mcp", transport: "streamable-http", version: null, cwd: "." },
    { devSource: null, telemetry: null, session: null, envFile: null, stdin: "null" },
  ];
  const hash = specHash(define(BASE));
  for (const change of same) {
    assertEquals(specHash(define({ ...BASE, ...change })), hash, JSON.stringify(change));
  }
});

Deno.test("specParts() is short and holds no values", () => {
  const parts = specParts(define({ ...BASE, env: { KEY: "hunter2" } }));
  assertEquals(Object.keys(parts), ["args", "command", "env", "port"]);
  for (const part of Object.values(parts)) assertMatch(part, /^[0-9a-f]{8}$/);
});

Deno.test("withOverrides() puts the flags in place of the definition's words, in the fingerprint too", () => {
  const base = define({ ...BASE, version: "1.0.0" });
  const over = withOverrides(base, { port: 4005, version: "2.0.0" });
  assertEquals([over.port, over.version], [4005, "2.0.0"]);
  assertEquals(changedKeys(specParts(base), specParts(over)), ["port", "version"]);
  assertEquals(withOverrides(base, { port: undefined }), base);
});
