import { assert, assertEquals } from "@std/assert";
import { parse } from "jsonc-parser";
import { fromFileUrl, join } from "@std/path";
import { outdatedPages } from "../scripts/docs.ts";
import { EXIT } from "../src/cli/exit_codes.ts";
import { scopedFlags } from "../src/host/engine/deno/permissions.ts";
import { createDenoHost } from "../src/host/engine/deno/mod.ts";
import { loadDefinitions } from "../src/definitions/load.ts";
import { Foster, npxReason } from "./e2e/harness.ts";
import { missing, unless } from "./skip.ts";

const project = new URL("..", import.meta.url);

async function read(page: string): Promise<string> {
  return await Deno.readTextFile(fromFileUrl(new URL(page, project)));
}

/** The code block of a page that follows a marking comment. */
async function block(page: string, mark: string): Promise<string> {
  const text = new RegExp(`<!-- ${mark}:[^>]*-->\\s*\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(await read(page))
    ?.[1];
  assert(text !== undefined, `${page} has no block "${mark}"`);
  return text;
}

/** Command lines of a block, without `foster` and without comments. */
function commandsOf(text: string): string[][] {
  const lines = text.trim().split("\n").map((line) => line.replace(/ +#.*$/, ""));
  assert(lines.length > 5);
  return lines.map((line) => {
    const [program, ...args] = line.split(" ");
    assertEquals(program, "foster");
    return args;
  });
}

Deno.test("the commands of docs/getting-started.md run as they stand", async () => {
  await using foster = await Foster.create();
  for (const args of commandsOf(await block("docs/getting-started.md", "commands"))) {
    await foster.expect(0, args);
  }
});

const TOUR = unless(
  await npxReason("@modelcontextprotocol/server-everything@2026.8.31") ?? await missing("uvx"),
  "the tour of README.md runs as it stands",
);
Deno.test(TOUR, async () => {
  await using foster = await Foster.create();
  await Deno.writeTextFile(join(foster.folder, ".mcp.json"), await block("README.md", "tour"));
  for (const args of commandsOf(await block("README.md", "tour commands"))) await foster.expect(0, args);
});

Deno.test("the definitions that docs/definitions.md shows can be loaded", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const file = join(folder, "foster.jsonc");
  const shown = await block("docs/definitions.md", "definitions");
  await Deno.writeTextFile(file, shown);
  const { inFile } = await loadDefinitions(await createDenoHost(), {
    configFlag: file,
    callerFolder: folder,
  });
  const { servers } = parse(shown) as { servers: Record<string, unknown> };
  assertEquals(inFile.map(({ name }) => name), Object.keys(servers));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("docs/verbs.md lists every exit code", async () => {
  const section =
    (await read("docs/verbs.md")).split(/^## /m).find((each) => each.startsWith("Exit codes\n")) ?? "";
  const codes = [...section.matchAll(/^\| +([\d/]+) +\|/gm)].flatMap(([, cell = ""]) =>
    cell.split("/").map(Number)
  );
  assertEquals(codes, [...new Set(Object.values(EXIT))].sort((a, b) => a - b));
});

Deno.test("docs/safety.md shows the permissions that foster asks for", async () => {
  const shown = /```\n(--allow-read[\s\S]*?)```/.exec(await read("docs/safety.md"))?.[1] ?? "";
  assertEquals(shown.trim().split(/\s+/), [...scopedFlags]);
});

Deno.test("the generated parts of docs/ say what the program says", async () => {
  assertEquals(await outdatedPages(), [], "deno task docs writes them");
});

Deno.test("links between the pages lead to files and headings that exist", async () => {
  const pages = ["README.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", project))) {
    if (name.endsWith(".md")) pages.push(`docs/${name}`);
  }
  for (const page of pages) {
    for (const [, target = ""] of (await read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^\w+:/.test(target)) continue;
      const url = new URL(target, new URL(page, project));
      const anchor = url.hash.slice(1);
      url.hash = "";
      const text = await Deno.readTextFile(url).catch(() => null);
      assert(text !== null, `${page} links to ${target}`);
      const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
        heading.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-")
      );
      assert(anchor === "" || headings.includes(anchor), `${page} links to ${target}`);
    }
  }
});
