import { assert, assertEquals } from "@std/assert";
import { parse } from "jsonc-parser";
import { fromFileUrl, join } from "@std/path";
import { EXIT } from "../src/cli/exit_codes.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { scopedFlags } from "../src/host/engine/deno/permissions.ts";
import { createDenoHost } from "../src/host/engine/deno/mod.ts";
import { loadDefinitions } from "../src/definitions/load.ts";
import { PRESETS } from "../src/definitions/presets.ts";
import { Foster } from "./e2e/harness.ts";

const README = await Deno.readTextFile(fromFileUrl(new URL("../README.md", import.meta.url)));

/** The code block that follows a marking comment. */
function block(mark: string): string {
  const text = new RegExp(`<!-- ${mark}:[^>]*-->\\s*\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(README)?.[1];
  assert(text !== undefined, `README.md has no block "${mark}"`);
  return text;
}

/** The first column of the tables in a section. */
function firstColumn(heading: string): string[] {
  const section = README.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? "";
  const cells = [...section.matchAll(/^\| +(\S.*?) +\|/gm)].map(([, cell = ""]) => cell.replaceAll("`", ""));
  return cells.filter((cell) => !/^-+$/.test(cell)).slice(1);
}

Deno.test("the commands that README.md shows run as they stand", async () => {
  await using foster = await Foster.create();
  const commands = block("commands").trim().split("\n").map((line) => line.replace(/ +#.*$/, ""));
  assert(commands.length > 5);
  for (const command of commands) {
    const [program, ...args] = command.split(" ");
    assertEquals(program, "foster");
    await foster.expect(0, args);
  }
});

Deno.test("the definitions that README.md shows can be loaded", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const file = join(folder, "foster.jsonc");
  const shown = block("definitions");
  await Deno.writeTextFile(file, shown);
  const { inFile } = await loadDefinitions(await createDenoHost(), {
    configFlag: file,
    callerFolder: folder,
  });
  const { servers } = parse(shown) as { servers: Record<string, unknown> };
  assertEquals(inFile.map(({ name }) => name), Object.keys(servers));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("README.md lists every verb, preset and exit code", () => {
  assertEquals(firstColumn("Verbs"), Object.keys(VERBS));
  assertEquals(firstColumn("Define your own servers"), [...PRESETS.keys()]);
  const codes = firstColumn("Exit codes").flatMap((cell) => cell.split("/").map(Number));
  assertEquals(codes, [...new Set(Object.values(EXIT))].sort((a, b) => a - b));
});

Deno.test("README.md shows the permissions that foster asks for", () => {
  const shown = /```\n(--allow-read[\s\S]*?)```/.exec(README)?.[1] ?? "";
  assertEquals(shown.trim().split(/\s+/), [...scopedFlags]);
});
