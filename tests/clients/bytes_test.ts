import { assert, assertEquals } from "@std/assert";
import type { SettingsFile, Syntax } from "../../src/clients/client.ts";
import { editEntries } from "../../src/clients/edit_entries.ts";
import { EntryFormError } from "../../src/clients/entry_editor.ts";

const VALUE = { command: "/opt/foster", args: ["connect", "docs", "--config", "/p/foster.json"] };

function fileOf(syntax: Syntax, isList: boolean): SettingsFile {
  return { path: "f", scope: "user", syntax, at: ["servers"], isList, project: null };
}

interface Text {
  what: string;
  syntax: Syntax;
  text: string;
  isList?: boolean;
}

const JSON_TEXTS: Omit<Text, "syntax">[] = [
  { what: "two spaces", text: '{\n  "servers": {\n    "a": { "command": "x" }\n  },\n  "n": 1\n}\n' },
  { what: "tabs", text: '{\n\t"n": 1,\n\t"servers": {\n\t\t"a": {\n\t\t\t"command": "x"\n\t\t}\n\t}\n}' },
  { what: "CRLF", text: '{\r\n  "servers": {\r\n    "a": {"command": "x"}\r\n  }\r\n}\r\n' },
  {
    what: "mixed line ends",
    text: '{\n  "n": 1,\r\n  "servers": {\n    "a": {"command": "x"}\n  },\r\n  "z": 2\n}\r\n',
  },
  {
    what: "empty lines before the brace",
    text: '{\n  "servers": {\n    "a": {"command": "x"}\n\n  }\n\n}\n\n\n',
  },
  { what: "everything on one line", text: '{"servers":{"a":{"command":"x"}},"n":1}' },
  { what: "one line with blanks", text: '{ "servers": { "a": { "command": "x" } } }\n' },
  {
    what: "an entry of no object",
    text: '{\n  "servers": {\n    "a": 5,\n    "b": null,\n    "c": []\n  }\n}\n',
  },
];

const JSONC_TEXTS: Omit<Text, "syntax">[] = [
  { what: "trailing commas", text: '{\n\t"servers": {\n\t\t"a": {"command": "x"},\n\t},\n}\n' },
  { what: "a trailing comma on one line", text: '{"servers": {"a": {"command": "x"}, }, }' },
  {
    what: "comments everywhere",
    text:
      '// top\n{\n  /* a */ "servers": { // b\n    // c\n    "a": {"command": "x"} // d\n    // e } , {\n  }, // f\n  "n": 1 /* g */\n} // h\n',
  },
  {
    what: "a comma and comments behind the last",
    text: '{\n  "servers": {\n    "a": {"command": "x"}, // d\n    /* e */\n  }\n}\n',
  },
  {
    what: "a comment before the last comma",
    text: '{\n  "servers": {\n    "a": {"command": "x"} /* d */, // e\n  }\n}\n',
  },
  { what: "a comment on one line", text: '{ "servers": { "a": {} /* c */ } }\n' },
];

const TOML_TEXTS: Omit<Text, "syntax">[] = [
  { what: "comments", text: '# top\nm = "x" # m\n\n[servers.a]\ncommand = "x" # c\n\n# of t\n[t]\nx = 1\n' },
  {
    what: "CRLF",
    text: '# top\r\nm = "x"\r\n\r\n[servers.a]\r\ncommand = "x"\r\n\r\n# of t\r\n[t]\r\nx = 1\r\n',
  },
  { what: "mixed line ends", text: 'm = "x"\r\n[servers.a]\ncommand = "x"\r\n\n[t]\nx = 1\r\n' },
  { what: "tabs", text: '[servers.a]\n\tcommand\t=\t"x"\n\t[servers.a.env]\n\tK = "1"\n' },
  { what: "multi-line texts", text: "n = \"\"\"\n[servers.no]\n\"\"\"\nm = '''\n[servers.docs]\n'''\n" },
  { what: "an empty line at the end", text: "[t]\nx = 1\n\n" },
  { what: "an implicit table", text: "[servers]\n[servers.a]\ncommand = 'x'\n" },
];

const YAML_TEXTS: Omit<Text, "syntax">[] = [
  {
    what: "comments",
    text: "# top\nn: 1 # n\nservers: # s\n  # a\n  a:\n    cmd: x # c\n  # end\nz: 2\n# last\n",
  },
  { what: "CRLF", text: "n: 1\r\nservers:\r\n  a:\r\n    cmd: x\r\nz: 2\r\n" },
  { what: "mixed line ends", text: "n: 1\r\nservers:\n  a:\r\n    cmd: x\nz: 2\r\n" },
  { what: "wide indentation", text: "servers:\n      a:\n        cmd: x\n        args:\n        - y\n" },
  { what: "an empty mapping with a comment", text: "servers: {} # none yet\nz: 2\n" },
  { what: "a null with a comment", text: "servers: # none yet\nz: 2\n" },
  { what: "a text block at the end", text: "servers:\n  a:\n    cmd: |\n      x\n      y\n\nz: 2\n" },
  { what: "quotes and flows", text: "servers:\n  'a b': { cmd: \"x\", args: [y] }\nz: {a: 1}\n" },
];

const LIST_TEXTS: Omit<Text, "syntax">[] = [
  {
    what: "a list",
    text: "name: x\nservers:\n  - name: a # c\n    command: x\n  # end\nz: 1\n",
    isList: true,
  },
  { what: "a list without indentation", text: "servers:\n- name: a\n  command: x\nz: 1\n", isList: true },
  { what: "an empty list with a comment", text: "servers: [] # none\nz: 1\n", isList: true },
];

const TEXTS: Text[] = [
  ...JSON_TEXTS.map((each) => ({ ...each, syntax: "json" as const })),
  ...JSONC_TEXTS.map((each) => ({ ...each, syntax: "jsonc" as const })),
  ...TOML_TEXTS.map((each) => ({ ...each, syntax: "toml" as const })),
  ...[...YAML_TEXTS, ...LIST_TEXTS].map((each) => ({ ...each, syntax: "yaml" as const })),
];

/** Every line is still there, in its order and with its line end; a comma may have come to its value. */
function assertKept(text: string, edited: string): void {
  const plain = (line: string) => line.replace(/,(?=\s*(?:(?:\/[/*].*)?\r?\n)?$)/, "");
  const after = edited.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  let at = 0;
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const found = after.findIndex((each, index) => index >= at && plain(each) === plain(line));
    assert(found !== -1, `${JSON.stringify(line)} is gone from\n${edited}`);
    at = found + 1;
  }
}

for (const { what, syntax, text, isList = false } of TEXTS) {
  const file = fileOf(syntax, isList);
  const value = isList ? { name: "docs", ...VALUE } : VALUE;

  Deno.test(`editEntries() adds an entry to ${syntax} with ${what} and takes it out again, byte for byte`, async () => {
    const added = await editEntries(text, file, [{ kind: "set", name: "docs", value }]);
    const isEmpty = text.includes("# none");
    const isOneLine = text.trimEnd().split("\n").length === 1;
    if (!isEmpty && !isOneLine) assertKept(text, added);
    const removed = await editEntries(added, file, [{ kind: "remove", name: "docs" }]);
    if (isEmpty) assert(removed.includes("# none"), removed);
    else assertEquals(removed, text);
  });

  if (!/(?:["']?a["']?: ?[{5]|a:\r?\n|servers\.a\]|name: a)/.test(text) || text.includes('"a": 5')) continue;
  Deno.test(`editEntries() replaces an entry of ${syntax} with ${what} and restores it, byte for byte`, async () => {
    const { editorFor } = await import("../../src/clients/edit_entries.ts");
    const raw = (await editorFor(syntax)).raw(text, file, "a");
    assert(raw !== null);
    const own = isList ? { name: "a", ...VALUE } : VALUE;
    const replaced = await editEntries(text, file, [{ kind: "set", name: "a", value: own }]);
    const at = text.indexOf(raw);
    assert(
      replaced.startsWith(text.slice(0, at)) && replaced.endsWith(text.slice(at + raw.length)),
      replaced,
    );
    assertEquals(await editEntries(replaced, file, [{ kind: "restore", name: "a", raw }]), text);
  });
}

Deno.test("editEntries() takes an entry out of a line that it shares, and keeps the comment of the line before", async () => {
  const text = '{\n  "servers": {\n    "a": 1, // mine\n    "docs": {}, "b": 2\n  }\n}\n';
  assertEquals(
    await editEntries(text, fileOf("jsonc", false), [{ kind: "remove", name: "docs" }]),
    '{\n  "servers": {\n    "a": 1, // mine\n    "b": 2\n  }\n}\n',
  );
});

Deno.test("editEntries() refuses what it cannot change alone", async () => {
  for (
    const [syntax, text] of [
      ["yaml", "base: &b {cmd: x}\nservers:\n  docs: &d\n    cmd: x\nother: *d\n"],
      ["yaml", "---\nservers:\n  a: {}\n---\nservers:\n  b: {}\n"],
      ["toml", "servers = { a = { command = 'x' } }\n"],
      ["toml", "[servers.docs]\ncommand = 'x'\n[t]\n[servers.docs.env]\nK = '1'\n"],
      ["toml", "[servers]\ndocs = { command = 'x' }\n"],
      ["json", '{"servers": []}'],
    ] as const
  ) {
    const edits = [{ kind: "set" as const, name: "docs", value: VALUE }];
    const result = await editEntries(text, fileOf(syntax, false), edits).catch((error) => error);
    assert(result instanceof EntryFormError || /not valid/.test(String(result)), `${text}\n${result}`);
  }
});
