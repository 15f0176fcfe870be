import { assertEquals } from "@std/assert";
import plugin from "../../scripts/house_lint.ts";

interface Case {
  title: string;
  file: string;
  source: string;
  /** Lines that break a rule. */
  lines: number[];
}

const CASES: Case[] = [
  {
    title: "lets a folder import what is below it",
    file: "src/cli/app.ts",
    source: 'import { a } from "../lifecycle/up.ts";\nimport { b } from "../registry/store.ts";\n',
    lines: [],
  },
  {
    title: "lets nothing import what is above it or beside it",
    file: "src/registry/store.ts",
    source: 'import { a } from "../lifecycle/up.ts";\nimport { b } from "../doctor/view.ts";\n',
    lines: [1, 2],
  },
  {
    title: "sees imports that are spread over lines, passed on, made late or made for their effect",
    file: "src/definitions/load.ts",
    source:
      'import {\n  a,\n  type B,\n} from "../cli/a.ts";\nexport * from "../cli/b.ts";\nawait import("../cli/c.ts");\n' +
      'import "../cli/d.ts";\n',
    lines: [1, 5, 6, 7],
  },
  {
    title: "lets no package be imported late: a binary's bundle may give it no names",
    file: "src/definitions/load.ts",
    source: 'const { a } = await import("semver");\nawait import("./a.ts");\n',
    lines: [1],
  },
  {
    title: "sees a type's late import",
    file: "src/definitions/load.ts",
    source: 'type A = typeof import("../cli/a.ts");\n',
    lines: [1],
  },
  {
    title: "lets only the interface of the host be imported, and types",
    file: "src/mcp/probe.ts",
    source: 'import { HostError } from "../host/host.ts";\nimport type { A } from "../host/using.ts";\n' +
      'import { type A, type B } from "../host/reader.ts";\nimport { createDenoHost } from "../host/deno.ts";\n' +
      'import { type A, b } from "../host/text.ts";\n',
    lines: [4, 5],
  },
  {
    title: "keeps the program within src",
    file: "src/cli/app.ts",
    source: 'import { a } from "../../tests/a.ts";\nimport { b } from "../../scripts/build.ts";\n',
    lines: [1, 2],
  },
  {
    title: "wants a place in the house for every folder",
    file: "src/util/a.ts",
    source: 'import { a } from "../definitions/a.ts";\n',
    lines: [1],
  },
  {
    title: "lets main.ts pick a host and start the command line, and nothing else",
    file: "main.ts",
    source:
      'await import("./src/host/deno.ts");\nawait import("./src/cli/app.ts");\nimport "./src/mcp/probe.ts";\n',
    lines: [3],
  },
  {
    title: "lets tests import everything",
    file: "tests/a_test.ts",
    source: 'import { a } from "../src/host/deno.ts";\nimport fs from "node:fs";\nDeno.exit();\n',
    lines: [],
  },
  {
    title: "wants packages by their names in deno.json",
    file: "scripts/a.ts",
    source: 'import { z } from "npm:zod";\nimport { z as y } from "zod";\n',
    lines: [1],
  },
  {
    title: "keeps the runtimes' modules in the host, but for those without effects",
    file: "src/cache/sweep.ts",
    source:
      'import fs from "node:fs";\nimport { dlopen } from "bun:ffi";\nimport { join } from "node:path";\n' +
      'import { createHash } from "node:crypto";\nimport { inspect } from "node:util";\n',
    lines: [1, 2],
  },
  {
    title: "lets doctor ask cache, and not the other way round",
    file: "src/cache/sweep.ts",
    source: 'import { a } from "../doctor/cache.ts";\n',
    lines: [1],
  },
  {
    title: "lets a folder import one beside it along the arrow that is drawn",
    file: "src/doctor/cache.ts",
    source: 'import { a } from "../cache/sweep.ts";\n',
    lines: [],
  },
  {
    title: "sees every way to the machine",
    file: "src/mcp/probe.ts",
    source: [
      "Deno.exit(1);",
      "Bun.version;",
      "const { Deno: d } = globalThis;",
      "Date.now();",
      "new Date();",
      "new Date;",
      "setTimeout(f, 1);",
      "queueMicrotask(f);",
      "performance.now();",
      "Math.random();",
      "crypto.getRandomValues(a);",
      "await fetch(url);",
      "new WebSocket(url);",
      "process.env.HOME;",
      "AbortSignal.timeout(5);",
      "`in a ${`template ${Deno.pid}`}`;",
      "if (known) { const process = 1; }\nprocess.cwd();",
      "globalThis;",
    ].join("\n"),
    lines: Array.from({ length: 19 }, (_, index) => index + 1).filter((line) => line !== 17),
  },
  {
    title: "leaves alone what only looks like it",
    file: "src/mcp/probe.ts",
    source: [
      "// Deno.exit(1), setTimeout()",
      "/* Date.now()\n   Bun */",
      "\"Deno.exit()\"; 'fetch()'; `Math.random() ${host.clock.now()} {Deno}`;",
      "/Deno.exit\\(\\)[/'\"`]/.test(text) || a / Deno2 / b;",
      "new Date(host.clock.now());",
      "host.net.fetch(url);",
      "const fetching = { fetch: wire.fetch, Deno: 1 };",
      "const process = seen.get(pid); process.pid;",
      'crypto.subtle.digest("SHA-256", bytes);',
      "function fetch(url: string): WebSocket { return host.net.webSocket(url); }",
      "for (const process of seen) process.pid;",
      "seen.map((process) => process.pid); seen.map(({ crypto: process }) => process.pid);",
      "interface Names { Deno: string; fetch(): void }",
    ].join("\n"),
    lines: [],
  },
  {
    title: "sees a signal that is sent elsewhere",
    file: "src/lifecycle/stop.ts",
    source: 'host.processes.signal(pid, "SIGTERM");\nthis.#processes.signal(pid);\nsignaller.signal(pid);\n',
    lines: [1, 2],
  },
  {
    title: "lets the one place send signals",
    file: "src/lifecycle/stop/signal.ts",
    source: 'this.#processes.signal(target.pid, "SIGTERM");\n',
    lines: [],
  },
];

for (const { title, file, source, lines } of CASES) {
  Deno.test(`the lint plugin ${title}`, () => {
    const found = Deno.lint.runPlugin(plugin, file, source);
    const at = found.map(({ range }) => source.slice(0, range[0]).split("\n").length).sort((a, b) => a - b);
    assertEquals([...new Set(at)], lines, JSON.stringify(found, null, 2));
  });
}
