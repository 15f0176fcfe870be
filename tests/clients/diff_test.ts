import { assert, assertEquals } from "@std/assert";
import { diffLines, hiddenTexts, hide, onlyOwn, ownTexts } from "../../src/clients/attach/diff.ts";

for (
  const [before, after, expected] of [
    ["", "", []],
    ["a\n", "a\n", []],
    ["", "a\nb\n", ["@@ -0,0 +1,2 @@", "+a", "+b"]],
    ["a\nb\nc\n", "a\nx\nc\n", ["@@ -2 +2 @@", "-b", "+x"]],
    ["a\nb\nc\nd\ne\n", "a\nc\nd\ny\ne\nz\n", [
      "@@ -2 +1,0 @@",
      "-b",
      "@@ -4,0 +4 @@",
      "+y",
      "@@ -5,0 +6 @@",
      "+z",
    ]],
    ["a", "a\nb", ["@@ -1,0 +2 @@", "+b"]],
  ] as const
) {
  Deno.test(`diffLines() of ${JSON.stringify(before)} and ${JSON.stringify(after)} has changed lines alone`, () =>
    assertEquals(diffLines(before, after), [...expected]));
}

Deno.test("diffLines() takes a large file quickly, and its lines make the one text of the other", () => {
  const lines = Array.from({ length: 100_000 }, (_, index) => `line ${index}`);
  const other = lines.toSpliced(90_000, 2, "x", "y", "z").toSpliced(5, 0, "new");
  const started = performance.now();
  assertEquals(diffLines(lines.join("\n"), other.join("\n")), [
    ...["@@ -5,0 +6 @@", "+new"],
    ...["@@ -90001,2 +90002,3 @@", "-line 90000", "-line 90001", "+x", "+y", "+z"],
  ]);
  assert(performance.now() - started < 5000);
});

Deno.test("hide() leaves out what hiddenTexts() names in each syntax, and references stay", () => {
  const hidden = hiddenTexts({
    command: "npx",
    args: ["-y", "x", "--api-key", 'sec"ret-1', "postgres://me:hunter2@db/x"],
    env: { TOKEN: "token-2", LEVEL: "2", REF: "${env:HOME}/x", ALONE: "${env:HOME}" },
    headers: { Authorization: "Bearer token-3" },
  }, { references: ["prefixed"] });
  for (
    const [line, shown] of [
      [
        '"args": ["--api-key", "sec\\"ret-1", "postgres://me:hunter2@db/x"]',
        '"args": ["--api-key", "…", "postgres://me:…@db/x"]',
      ],
      ['"TOKEN": "token-2", "LEVEL": "2", "N": 3', '"TOKEN": "…", "LEVEL": "…", "N": 3'],
      ["TOKEN = 'token-2'", "TOKEN = '…'"],
      ["  LEVEL: 2", "  LEVEL: …"],
      ["  Authorization: Bearer token-3", "  Authorization: …"],
      ['"ALONE": "${env:HOME}"', '"ALONE": "${env:HOME}"'],
      ["timeout: 22", "timeout: 22"],
    ] as const
  ) assertEquals(hide(line, hidden), shown);
});

const OWN = ownTexts(["mcp_servers", "docs", {
  command: "/opt/foster",
  args: ["connect", "docs"],
  on: true,
}]);

for (
  const [syntax, line, shown] of [
    ["json", '  "primaryApiKey": "sk-ant-1",', '  "primaryApiKey": "…",'],
    [
      "json",
      '{"a":"s\\"k","n":12,"docs":{"command":"/opt/foster","args":["connect","docs"],"on":true}}',
      '{"a":"…","n":…,"docs":{"command":"/opt/foster","args":["connect","docs"],"on":true}}',
    ],
    ["jsonc", '  "a": [ "sk-1" ], // was "sk-0"', '  "a": [ "…" ], //…'],
    ["jsonc", '  "a": 1 /* sk-0 */, "b": "https://me:sk-1@x/"', '  "a": … /*…, "b": "…"'],
    ["toml", "key = 'sk-1' # was sk-0", "key = '…' #…"],
    ["toml", 'a = { key = "sk-1", n = 2026-01-02T03:04:05Z }', 'a = { key = "…", n = … }'],
    ["toml", '"a.b" = """sk-1', '"a.b" = "…"'],
    ["toml", "[mcp_servers.docs]", "[mcp_servers.docs]"],
    ["toml", '[ "sk-1" ]', '[ "…" ]'],
    ["toml", 'command = "/opt/foster"', 'command = "/opt/foster"'],
    ["yaml", "KEY: sk 1, and more # was sk-0", "KEY: … #…"],
    ["yaml", 'KEY: "sk-1"', 'KEY: "…"'],
    ["yaml", "  - sk-1", "  - …"],
    ["yaml", "sk-1 of a longer text", "…"],
    [
      "yaml",
      "{ a: sk 1, 'b': 'sk-1', docs: { args: [connect, docs] } }",
      "{ a: …, 'b': '…', docs: { args: [connect, docs] } }",
    ],
    ["yaml", "    command: /opt/foster", "    command: /opt/foster"],
    ["yaml", "extensions:", "extensions:"],
  ] as const
) {
  Deno.test(`onlyOwn() shows of the ${syntax} line ${line} keys and foster's own values alone`, () =>
    assertEquals(onlyOwn(line, OWN, syntax), shown));
}
