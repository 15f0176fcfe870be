import { assertEquals } from "@std/assert";
import { tellingLines } from "../../src/base/telling_lines.ts";

const outputs: [what: string, output: string, expected: string[]][] = [
  ["short", "one\n\ntwo  \n", ["one", "two"]],
  ["empty", "\n \n", []],
  ["long without an error", "a\nb\nc\nd\n", ["b", "c", "d"]],
  [
    "node's",
    "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module 'express'\n" +
    "Require stack:\n- /srv/server.js\n    at Module._resolveFilename (x:1)\n    at Module._load (x:2)\n" +
    "  code: 'MODULE_NOT_FOUND',\n}\n\nNode.js v22.1.0\n",
    ["Error: Cannot find module 'express'", "}", "Node.js v22.1.0"],
  ],
  [
    "Python's, with what it cleans up behind",
    'Traceback (most recent call last):\n  File "s.py", line 1, in <module>\n' +
    "ModuleNotFoundError: No module named 'fastmcp'\nshutting down\nclosing the pool\nbye\n",
    ["ModuleNotFoundError: No module named 'fastmcp'", "closing the pool", "bye"],
  ],
  [
    "npm's",
    "npm error code E404\nnpm error 404 Not Found - GET https://registry.example/nope - Not found\n" +
    "npm error 404\nnpm error 404  'nope@*' is not in this registry.\nnpm error 404\n" +
    "npm error 404 Note that you can also install from a\nnpm error 404 tarball, folder, http url, or git folder.\n" +
    "npm error A complete log of this run can be found in: /x\n",
    [
      "npm error 404  'nope@*' is not in this registry.",
      "npm error 404 tarball, folder, http url, or git folder.",
      "npm error A complete log of this run can be found in: /x",
    ],
  ],
  [
    "uv's",
    "  × No solution found when resolving tool dependencies:\n  ╰─▶ Because nope was not found in the package\n" +
    "      registry and you require nope, we can conclude\n      that your requirements are unsatisfiable.\n" +
    "\nhint: try another name\n",
    [
      "  ╰─▶ Because nope was not found in the package",
      "      that your requirements are unsatisfiable.",
      "hint: try another name",
    ],
  ],
  ["with escapes", "\u001b[31mError: no such file: x\u001b[0m\na\nb\nc\n", [
    "Error: no such file: x",
    "b",
    "c",
  ]],
];

for (const [what, output, expected] of outputs) {
  Deno.test(`tellingLines() of an output that is ${what}`, () => {
    assertEquals(tellingLines(output, 3), expected);
  });
}
