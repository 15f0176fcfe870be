import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { bunPath } from "../../scripts/bun_tool.ts";
import { OPEN_FILES_VARIABLE } from "../../src/host/system/linux/environ.ts";
import { decideOpenFiles, parseOpenFiles } from "../../src/host/system/linux/limits.ts";

const ignore = Deno.build.os !== "linux";

Deno.test("parseOpenFiles() reads the line of /proc, and knows no unlimited one", () => {
  const text = (soft: string, hard: string) =>
    `Limit                     Soft Limit           Hard Limit           Units     \n` +
    `Max processes             127218               127218               processes \n` +
    `Max open files            ${soft.padEnd(20)} ${hard.padEnd(20)} files     \n`;
  assertEquals(parseOpenFiles(text("1024", "524288")), { soft: 1024, hard: 524_288 });
  assertEquals(parseOpenFiles(text("1024", "unlimited")), null);
  assertEquals(parseOpenFiles(""), null);
});

const raised = { soft: 524_288, hard: 524_288 };
for (
  const { what, handed, parent, own = raised, soft } of [
    { what: "the caller's", parent: { soft: 1024, hard: 524_288 }, soft: 1024 },
    { what: "what another foster handed on", handed: "256", parent: raised, soft: 256 },
    { what: "foster's own where the caller raised its own too", parent: raised, soft: null },
    {
      what: "foster's own where the parent is not whom it comes from",
      parent: { soft: 256, hard: 512 },
      soft: null,
    },
    { what: "foster's own where nothing is known of the parent", parent: null, soft: null },
    { what: "foster's own where its own is not known", parent: { soft: 1, hard: 2 }, own: null, soft: null },
    {
      what: "no handed limit that is none",
      handed: "many",
      parent: { soft: 1024, hard: 524_288 },
      soft: 1024,
    },
    { what: "nothing beyond foster's own", handed: "999999999", parent: null, soft: null },
  ]
) {
  Deno.test(`decideOpenFiles() gives children ${what}`, () => {
    assertEquals(decideOpenFiles({ handed, parent, own }), soft);
  });
}

/** Prints what its child's limits and environment are. */
const program = (engine: "Deno" | "Bun") =>
  `import { create${engine}Host } from ${
    JSON.stringify(new URL(`../../src/host/engine/${engine.toLowerCase()}/mod.ts`, import.meta.url))
  };
const host = await create${engine}Host();
const script = "ulimit -Sn; ulimit -Hn; printenv ${OPEN_FILES_VARIABLE} || echo none";
const { stdout } = await host.processes.run("sh", ["-c", script], { timeoutMs: 5000 });
host.terminal.out([...stdout.trim().split("\\n"), host.env.all()["${OPEN_FILES_VARIABLE}"] ?? "stripped"].join(" "));
host.program.exit(0);`;

Deno.test(
  { name: "a child gets the caller's limit of open files, and foster keeps its own", ignore },
  async (t) => {
    const folder = await Deno.makeTempDir({ prefix: "foster-limits-" });
    try {
      for (const engine of ["Deno", "Bun"] as const) {
        await t.step(engine, async () => {
          const source = `${folder}/${engine}.ts`;
          await Deno.writeTextFile(source, program(engine));
          const bundled = `${folder}/${engine}`;
          const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
          const bundle = [
            "bundle",
            "-q",
            "--config",
            config,
            "--code-splitting",
            "--outdir",
            bundled,
            source,
          ];
          await new Deno.Command("deno", { args: bundle }).output();
          const run = engine === "Deno" ? "deno run -A -q" : await bunPath();
          const limited = async (env: Record<string, string>) => {
            const script = `ulimit -Sn 300; ${run} ${bundled}/${engine}.js; exit $?`;
            const { stdout } = await new Deno.Command("sh", { args: ["-c", script], env, stderr: "inherit" })
              .output();
            return new TextDecoder().decode(stdout).split(" ");
          };
          const [soft, hard, ...handed] = await limited({});
          assertEquals([soft, Number(hard) > 300, ...handed], ["300", true, "none", "stripped"]);
          assertEquals((await limited({ [OPEN_FILES_VARIABLE]: "200" }))[0], "200");
        });
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
