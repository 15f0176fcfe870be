import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { canonicalJson, sha256Hex } from "../../src/base/hash.ts";
import { DefinitionError } from "../../src/definitions/definition_error.ts";
import { parseDuration } from "../../src/base/duration.ts";
import { environmentOverrides } from "../../src/definitions/normalise.ts";
import { parseDefinitionText } from "../../src/definitions/jsonc.ts";
import { plainJson } from "../../src/definitions/plain_json.ts";
import { projectKey, slug } from "../../src/definitions/hash.ts";
import { deepMerge } from "../../src/base/json.ts";

Deno.test("parseDuration() reads milliseconds, seconds, minutes and hours and nothing else", () => {
  const table: [string, number | null][] = [
    ["250ms", 250],
    ["5s", 5_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["1.5s", 1_500],
    ["0s", 0],
    ["24h", 86_400_000],
    ["600h", null],
    ["", null],
    ["5", null],
    ["s", null],
    ["-5s", null],
    ["5 s", null],
    ["5S", null],
    ["5sec", null],
    ["1e3ms", null],
    [".5s", null],
    ["5d", null],
  ];
  for (const [text, ms] of table) assertEquals(parseDuration(text), ms, text);
});

Deno.test("environmentOverrides() ignores what is no whole number and raises what is too small", () => {
  const table: [string | undefined, number | null, number | null][] = [
    [undefined, null, null],
    ["", null, null],
    ["abc", null, null],
    ["1.5", null, null],
    ["5s", null, null],
    ["0", 1, 100],
    ["-7", 1, 100],
    ["50", 50, 100],
    ["1500", 1_500, 1_500],
    [" 1500 ", 1_500, 1_500],
    ["99999999999", 2 ** 31 - 1, 2 ** 31 - 1],
  ];
  for (const [text, timeoutMs, intervalMs] of table) {
    assertEquals(environmentOverrides(() => text), {
      readyTimeoutMs: timeoutMs,
      probeTimeoutMs: timeoutMs,
      intervalMs,
    }, String(text));
  }
});

Deno.test("deepMerge() merges objects at every depth and replaces all else", () => {
  assertEquals(
    deepMerge({ a: { b: { c: 1, d: 2 } }, list: [1, 2], gone: { x: 1 } }, {
      a: { b: { c: 3 } },
      list: [9],
      gone: null,
    }),
    { a: { b: { c: 3, d: 2 } }, list: [9], gone: null },
  );
});

Deno.test("deepMerge() keeps a key called __proto__ a plain key", () => {
  const merged = deepMerge({}, JSON.parse('{"__proto__": {"polluted": true}}'));
  assertEquals(Object.getPrototypeOf(merged), Object.prototype);
  assertEquals(Object.hasOwn(merged, "__proto__"), true);
});

Deno.test("canonicalJson() sorts keys at every depth and keeps the order of lists", () => {
  assertEquals(canonicalJson({ b: [2, { d: null, c: "x" }], a: 1 }), '{"a":1,"b":[2,{"c":"x","d":null}]}');
});

Deno.test("slug() gives a folder name that is safe on every system", () => {
  const table: [string, string][] = [
    ["docs", "docs"],
    ["My Docs", "my-docs"],
    ["a  b", "a-b"],
    ["v1.2_x-y", "v1.2_x-y"],
    [".", "_"],
    ["..", "_"],
    ["..x", "_x"],
    ["docs.", "docs_"],
    ["CON", "_con"],
    ["nul.txt", "_nul.txt"],
    ["console", "console"],
  ];
  for (const [name, key] of table) assertEquals(slug(name), key, name);
});

Deno.test("projectKey() adds the beginning of the file path's hash", () => {
  const key = projectKey("My Docs", "/home/me/p/foster.json");
  assertMatch(key, /^my-docs-[0-9a-f]{8}$/);
  assertEquals(key, `my-docs-${sha256Hex("/home/me/p/foster.json").slice(0, 8)}`);
  assertEquals(key === projectKey("My Docs", "/home/me/q/foster.json"), false);
});

Deno.test("parseDefinitionText() takes comments, trailing commas and a byte order mark", () => {
  const text =
    '\uFEFF{ // a "comment": {\n /* "servers": */ "servers": { "a": { "args": ["// no", "x,}"], }, }, }';
  assertEquals(parseDefinitionText(text, "f.json"), { servers: { a: { args: ["// no", "x,}"] } } });
});

Deno.test("parseDefinitionText() says file, line and column where the text is malformed", () => {
  const table: [string, RegExp][] = [
    ['{\n  "servers": {,}\n}', /^f\.json: not valid JSON at line 2, column 15: , is not expected/],
    ['{"a" 1}', /line 1, column 6: 1 is not expected/],
    ['{\n"a": 1', /line 2, column 7: the text ends too early/],
    ["", /line 1, column 1: the text ends too early/],
    ['{"a": nope}', /line 1, column 7: nope is not expected/],
    ["{'a': 1}", /line 1, column 2/],
    ["{} {}", /line 1, column 4/],
  ];
  for (const [text, message] of table) {
    const error = assertThrows(() => parseDefinitionText(text, "f.json"), DefinitionError);
    assertMatch(error.message, message);
    assertEquals([error.code, error.file], ["definition", "f.json"]);
  }
});

Deno.test("parseDefinitionText() refuses a key that stands twice", () => {
  const table: [string, string | null, string | null][] = [
    ['{"servers": {"docs": {}, "docs": {}}}', "docs", null],
    ['{"mcpServers": {"docs": {}, "do\\u0063s": {}}}', "docs", null],
    ['{"servers": {"docs": {"port": 1, "port": 2}}}', "docs", "port"],
    ['{"servers": {"docs": {"launch": [{}, {"tier": 1, "tier": 2}]}}}', "docs", "launch.tier"],
    ['{"servers": {}, "servers": {}}', null, "servers"],
  ];
  for (const [text, server, key] of table) {
    const error = assertThrows(
      () => parseDefinitionText(text, "f.json"),
      DefinitionError,
      "is written twice",
    );
    assertEquals([error.server, error.key], [server, key], text);
  }
});

Deno.test("plainJson() gives what the parser of comments gives, and leaves it what is anything else", () => {
  for (
    const text of [
      '{"servers": {"a": {"command": "x: \\"y\\":", "args": ["b\\\\", "c"]}}}',
      '\uFEFF{"a" : {"a": [{"a": 1}, {"a": null}]}, "b":""}',
      "{}",
    ]
  ) assertEquals(plainJson(text), parseDefinitionText(text, "f.json"), text);
  for (
    const text of [
      '{"a": 1, "a": 2}',
      '{"a": {"b": 1, "\\u0062": 2}}',
      '{"__proto__": {}}',
      '{"a": 1, // no\n "b": 2}',
      '{"a": [1,]}',
      "",
      "{",
      `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
    ]
  ) assertEquals(plainJson(text), undefined, text.slice(0, 40));
});

Deno.test("parseDefinitionText() does not mistake equal keys of different objects, values and comments", () => {
  const text =
    '{"servers": {"a": {"port": "port", "env": {"port": "a"}} /* "a": 1 */, "b": {"port": ["port", "port"]}}}';
  assertEquals(Object.keys(parseDefinitionText(text, "f.json") as object), ["servers"]);
});
