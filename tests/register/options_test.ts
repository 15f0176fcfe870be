import { assertEquals } from "@std/assert";
import { exitCodeOf, isParentLost, isWatched } from "../../src/register/register.ts";
import { isLoopbackBind, readRegisterOptions } from "../../src/register/options.ts";
import type { ProcessObservation } from "../../src/host/host.ts";

for (
  const [bind, expected] of [
    ["127.0.0.1:3001", true],
    ["127.8.9.10:1", true],
    ["localhost:65535", true],
    ["LOCALHOST:80", true],
    ["[::1]:3001", true],
    ["0.0.0.0:3001", false],
    ["[::]:3001", false],
    ["192.168.1.5:3001", false],
    ["127.0.0.256:3001", false],
    ["127.0.0.1.example.org:3001", false],
    ["localhost.example.org:3001", false],
    ["127.0.0.1", false],
    ["::1:3001", false],
    ["127.0.0.1:0", false],
    ["127.0.0.1:65536", false],
    [":3001", false],
    ["127.0.0.1:3001\n", false],
  ] as const
) {
  Deno.test(`isLoopbackBind() of ${JSON.stringify(bind)} is ${expected}`, () =>
    assertEquals(isLoopbackBind(bind), expected));
}

const HTTP = { transport: "http", bind: "127.0.0.1:3001", httpPath: null };

for (
  const [expected, given] of [
    ["/mcp", HTTP],
    ["/a/b", { ...HTTP, httpPath: "/a/b" }],
    [null, { transport: "http", bind: null, httpPath: null }],
    [null, { transport: "stdio", bind: null, httpPath: null }],
  ] as const
) {
  Deno.test(`readRegisterOptions() gives the path ${expected} for ${JSON.stringify(given)}`, () => {
    const read = readRegisterOptions(given);
    assertEquals(read.kind === "options" ? read.options.httpPath : read, expected);
  });
}

for (
  const [expected, given] of [
    ["--transport is missing", { ...HTTP, transport: null }],
    ["--transport sse is not known", { ...HTTP, transport: "sse" }],
    ["--http-path needs --bind", { ...HTTP, bind: null, httpPath: "/mcp" }],
    ["--bind is for --transport http", { ...HTTP, transport: "stdio" }],
    ['--bind "0.0.0.0:1" is not a loopback address with a port', { ...HTTP, bind: "0.0.0.0:1" }],
    ['--http-path "mcp" must begin with "/"', { ...HTTP, httpPath: "mcp" }],
    ['--http-path "/mcp?a=1" must have neither query nor fragment', { ...HTTP, httpPath: "/mcp?a=1" }],
    ['--http-path "/mcp#a" must have neither query nor fragment', { ...HTTP, httpPath: "/mcp#a" }],
    ['--http-path "/{*all}" must have no wildcard', { ...HTTP, httpPath: "/{*all}" }],
    ['--http-path "/a b" must have neither blanks nor control characters', { ...HTTP, httpPath: "/a b" }],
  ] as const
) {
  Deno.test(`readRegisterOptions() refuses: ${expected}`, () => {
    const read = readRegisterOptions(given);
    assertEquals(read.kind === "wrong" ? read.message : read, expected);
  });
}

function process(
  given: Partial<{ startTime: string; parentPid: number; zombie: boolean }> = {},
): ProcessObservation {
  const facts = { pid: 600, startTime: "token", parentPid: 600, groupId: 600, zombie: false };
  return { kind: "seen", facts: { ...facts, ...given } };
}

for (
  const [what, expected, self, seen] of [
    ["both are as they were", false, process(), process()],
    ["another process adopted the register", true, process({ parentPid: 1 }), process()],
    ["the parent is gone", true, process(), { kind: "gone" }],
    ["the parent is a zombie", true, process(), process({ zombie: true })],
    ["the parent's pid is another process", true, process(), process({ startTime: "other" })],
    ["nothing can be told", false, { kind: "unknown", why: "" }, { kind: "unknown", why: "" }],
  ] as const
) {
  Deno.test(`isParentLost() is ${expected} when ${what}`, () =>
    assertEquals(isParentLost({ pid: 600, startTime: "token" }, { self, seen }), expected));
}

Deno.test("isWatched() is false for processes that adopt orphans", () => {
  assertEquals([0, 1, 2].map((pid) => isWatched({ pid, startTime: null })), [false, false, true]);
  assertEquals(isWatched(null), false);
});

Deno.test("exitCodeOf() gives 128 and the signal's number, which some have by system", () => {
  for (
    const [code, signal, system, expected] of [
      [7, null, "linux", 7],
      [0, null, "linux", 0],
      [null, "SIGKILL", "linux", 137],
      [null, "SIGTERM", "darwin", 143],
      [null, "SIGBUS", "linux", 135],
      [null, "SIGBUS", "darwin", 138],
      [null, "SIGUSR1", "linux", 138],
      [null, "SIGUSR1", "darwin", 158],
      [null, "SIGNEW", "linux", 128],
    ] as const
  ) assertEquals(exitCodeOf({ code, signal }, system), expected, `${signal} on ${system}`);
});
