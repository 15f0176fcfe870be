/**
 * Warming the caches of the real tools: afterwards the same launch works offline.
 */
import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { warm, WarmError } from "../../src/cache/warm.ts";
import { runTool, toolPath } from "./tools.ts";
import { unless } from "../skip.ts";

interface ToolCase {
  tool: string;
  /** What a definition says. */
  args: string[];
  what: string;
  /** The same launch, kept from the network. */
  offline: { args: string[]; env: Record<string, string> };
  answer: string;
  /** Asks the package index by other means whether it can be reached. */
  reach: string[];
}

const npmPackage = "semver@7.6.0";
const nobodyListens = "http://127.0.0.1:9/";
const askUv = ["uv", "pip", "install", "--dry-run", "--target", "none", "cowsay==6.1"];
const askNpm = ["npm", "view", npmPackage, "version"];

const cases: ToolCase[] = [
  {
    tool: "uvx",
    args: ["--from", "cowsay==6.1", "cowsay", "-t", "moo"],
    what: "cowsay==6.1",
    offline: { args: ["--offline", "--from", "cowsay==6.1", "cowsay", "-t", "moo"], env: {} },
    answer: "| moo |",
    reach: askUv,
  },
  {
    tool: "uv",
    args: ["tool", "run", "cowsay@6.1", "-t", "moo"],
    what: "cowsay@6.1",
    offline: { args: ["--offline", "tool", "run", "cowsay@6.1", "-t", "moo"], env: {} },
    answer: "| moo |",
    reach: askUv,
  },
  {
    tool: "npx",
    args: ["-y", npmPackage, "1.2.3"],
    what: npmPackage,
    offline: { args: ["-y", npmPackage, "1.2.3"], env: { npm_config_offline: "true" } },
    answer: "1.2.3",
    reach: askNpm,
  },
  {
    tool: "bunx",
    args: [npmPackage, "1.2.3"],
    what: npmPackage,
    offline: { args: [npmPackage, "1.2.3"], env: { npm_config_registry: nobodyListens } },
    answer: "1.2.3",
    reach: askNpm,
  },
  {
    tool: "deno",
    args: ["run", "-A", "--no-config", `npm:${npmPackage}`, "1.2.3"],
    what: `npm:${npmPackage}`,
    offline: { args: ["run", "-A", "--no-config", "--cached-only", `npm:${npmPackage}`, "1.2.3"], env: {} },
    answer: "1.2.3",
    reach: askNpm,
  },
];

interface Scratch {
  root: string;
  env: Record<string, string>;
}

/** Every cache that a tool has, in a new folder. */
async function scratch(): Promise<Scratch> {
  const root = await Deno.makeTempDir();
  const env = {
    UV_CACHE_DIR: join(root, "uv"),
    UV_TOOL_DIR: join(root, "uv-tools"),
    npm_config_cache: join(root, "npm"),
    npm_config_update_notifier: "false",
    BUN_INSTALL_CACHE_DIR: join(root, "bun"),
    BUN_TMPDIR: root,
    TMPDIR: root,
    TEMP: root,
    DENO_DIR: join(root, "deno"),
    NO_COLOR: "1",
  };
  return { root, env };
}

/** Why the package index can't be asked, or null. */
async function unreachable([asking = "", ...args]: string[]): Promise<string | null> {
  const asker = await toolPath(asking);
  if (asker === null) return `${asking} is not installed`;
  const { root, env } = await scratch();
  const { code, stderr } = await runTool(asker, args, { env, cwd: root });
  await Deno.remove(root, { recursive: true });
  return code === 0 ? null : `the package index can't be reached: ${stderr.trim().split("\n").at(-1)}`;
}

const reached = new Map<string[], Promise<string | null>>(
  [askUv, askNpm].map((asked) => [asked, unreachable(asked)]),
);

for (const each of cases) {
  const missing = await toolPath(each.tool) === null ? `${each.tool} is not installed` : null;
  const why = missing ?? await reached.get(each.reach) ?? null;

  Deno.test({
    ...unless(why, `warm() lets ${each.tool} start offline, without having started anything`),
    async fn() {
      const command = await toolPath(each.tool) ?? "";
      const { root, env } = await scratch();
      const here = { env: { ...env, ...each.offline.env }, cwd: root };
      try {
        assertNotEquals(
          (await runTool(command, each.offline.args, here)).code,
          0,
          "it starts without warming",
        );
        const lines: string[] = [];
        const host = await createDenoHost();
        const found = await warm(host, {
          server: "docs",
          launch: { command, args: each.args },
          cwd: root,
          env: { ...host.env.all(), ...env },
          timeoutMs: 120_000,
          log: (line) => lines.push(line),
        });
        assertEquals([found.fetched, found.what], [true, each.what]);
        assertEquals(lines.some((line) => line.includes(each.answer)), false, lines.join("\n"));
        const { code, stdout, stderr } = await runTool(command, each.offline.args, here);
        assertEquals(code, 0, stderr);
        assertStringIncludes(stdout, each.answer);
      } finally {
        await Deno.remove(root, { recursive: true });
      }
    },
  });
}

const uvx = await toolPath("uvx");

Deno.test({
  ...unless(
    uvx === null ? "uvx is not installed" : null,
    "warm() quotes the tool where it can't find the package",
  ),
  async fn() {
    const { root, env } = await scratch();
    const host = await createDenoHost();
    const args = ["--no-index", "--from", "answerer==1.0", "answerer"];
    const launch = { command: uvx ?? "", args };
    try {
      const environment = { ...host.env.all(), ...env, UV_FIND_LINKS: "" };
      const options = { server: "docs", launch, cwd: root, env: environment, timeoutMs: 60_000 };
      const error = await warm(host, options).catch((error) => error);
      assertEquals(error instanceof WarmError && error.code, "failed");
      assertStringIncludes(error.message, 'Cannot fetch answerer==1.0 for "docs": ');
      assertStringIncludes(error.message, "answerer");
      assertStringIncludes(error.hint, "--no-index --from answerer==1.0 python -V");
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
});
