import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { bringIn, findTrustedDefinition } from "../../src/cli/brought_in.ts";
import { UsageError } from "../../src/cli/args.ts";
import { Output } from "../../src/cli/output.ts";
import type { Context } from "../../src/cli/verb.ts";
import { loadDefinitions } from "../../src/definitions/load.ts";
import { readEnrolled } from "../../src/registry/supervisor_files.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { inFolder, machine } from "../definitions/machine.ts";

const TEXT = '{"mcpServers": {"docs": {"command": "npx", "args": ["docs"]}}}';

function contextIn(folder: string, configFlag: string | null = null): Context {
  const host = machine({ HOME: join(folder, "home") });
  const callerFolder = join(folder, "p");
  return {
    host,
    output: new Output(host.terminal, { json: false, quiet: true, verbose: false, color: false }),
    state: new StateFolder(host, join(folder, "state")),
    signal: new AbortController().signal,
    callerFolder,
    trace: null,
    verbs: {},
    definitions: () => loadDefinitions(host, { configFlag, callerFolder }),
  };
}

Deno.test("a .mcp.json found by searching serves clients once the user brought that very text in", async () => {
  await inFolder({
    "p/.mcp.json": TEXT,
    "home/.config/foster/foster.json": '{"servers": {"own": {"command": "x"}}}',
  }, async (folder) => {
    const context = contextIn(folder);
    const find = (name: string, of = context) => findTrustedDefinition(of, name);
    const refused = await assertRejects(() => find("docs"), UsageError, "nobody has let foster start");
    assert(refused.hint.includes('foster up "docs"'));
    assertEquals((await find("own")).name, "own");
    assertEquals((await find("demo")).source.kind, "preset");
    assertEquals((await find("docs", contextIn(folder, ".mcp.json"))).name, "docs");

    await bringIn(context, ["own"]);
    await assertRejects(() => find("docs"), UsageError);
    await bringIn(context, []);
    await bringIn(context, ["docs"]);
    assertEquals((await find("docs")).launch[0]?.command, "npx");
    const enrolled = await readEnrolled(context.host, context.state.path);
    assert(enrolled.kind === "file");
    assertEquals(enrolled.value.files.map(({ path }) => path), [join(folder, "p", ".mcp.json")]);

    await Deno.writeTextFile(join(folder, "p", ".mcp.json"), TEXT.replace("npx", "rm"));
    await assertRejects(() => find("docs"), UsageError, "or which changed since");
  });
});
