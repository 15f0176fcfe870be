import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { SHELLS } from "../../src/cli/completions/table.ts";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { Foster } from "./harness.ts";
import { missing, unless } from "../skip.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** A program called foster, for shells to ask. */
async function programFolder(foster: Foster): Promise<string> {
  const words = [
    Deno.execPath(),
    "run",
    "-q",
    "--no-prompt",
    "--config",
    join(ROOT, "deno.json"),
    ...scopedFlags,
  ];
  const command = [...words, join(ROOT, "main.ts")].map((word) => `'${word}'`).join(" ");
  const folder = join(foster.folder, "bin");
  await Deno.mkdir(folder);
  await Deno.writeTextFile(join(folder, "foster"), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  return folder;
}

Deno.test("completions prints a script for every shell, with every verb in it", async () => {
  await using foster = await Foster.create();
  for (const shell of SHELLS) {
    const { stdout } = await foster.expect(0, ["completions", shell]);
    for (const verb of Object.keys(VERBS)) assert(stdout.includes(verb), `${shell}: ${verb}`);
    assertMatch(stdout, /completions --names/);
  }
  assertMatch((await foster.expect(2, ["completions", "tcsh"])).stderr, /no shell that foster knows/);
  assertMatch((await foster.expect(2, ["completions"])).stderr, /which shell\?/);
});

Deno.test("completions --names prints definitions, presets and recorded servers, also beside a broken file", async () => {
  await using foster = await Foster.create();
  await foster.define({ "my docs": { extends: "demo" } });
  const names = async () => (await foster.expect(0, ["completions", "--names"])).stdout.trim().split("\n");
  assertEquals(await names(), ["my docs", "demo", "everything", "godot-ai"]);
  await foster.expect(0, ["up", "my docs"]);
  await foster.write("foster.json", "{ broken");
  assertEquals(await names(), ["my docs"]);
});

for (
  const { words, wanted, unwanted } of [
    { words: ["foster", "re"], wanted: ["restart", "recover"], unwanted: ["ps"] },
    { words: ["foster", ""], wanted: ["up", "completions"], unwanted: ["demo-server"] },
    { words: ["foster", "up", "--r"], wanted: ["--recover"], unwanted: ["--json"] },
    { words: ["foster", "up", "--"], wanted: ["--all", "--json", "--state-dir"], unwanted: ["--apply"] },
    { words: ["foster", "--config", "x.json", "up", "de"], wanted: ["demo"], unwanted: ["up"] },
    { words: ["foster", "up", ""], wanted: ["demo", "everything", "my\\ docs"], unwanted: ["up"] },
    { words: ["foster", "completions", "ba"], wanted: ["bash"], unwanted: ["demo"] },
    { words: ["foster", "up", "--timeout", ""], wanted: [], unwanted: ["demo"] },
    { words: ["foster", "import", "fost"], wanted: ["foster.json"], unwanted: ["demo"] },
    { words: ["foster", "register", "--transport", ""], wanted: ["stdio", "http"], unwanted: ["demo"] },
    { words: ["foster", "--state-dir", "/us"], wanted: ["/usr"], unwanted: ["up"] },
  ]
) {
  Deno.test(unless(await missing("bash"), `bash completes ${words.join(" ")}`), async () => {
    await using foster = await Foster.create();
    await foster.define({ "my docs": { extends: "demo" } });
    const folder = await programFolder(foster);
    const typed = words.map((word) => `'${word}'`).join(" ");
    const program = `source <(foster completions bash)
COMP_WORDS=(${typed}); COMP_CWORD=${words.length - 1}; _foster
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const running = foster.startProgram("bash", ["--norc", "-c", program], {
      env: { PATH: `${folder}:${Deno.env.get("PATH")}` },
    });
    const { stdout, stderr } = await running.finish(20_000);
    assertEquals(stderr, "");
    const offered = stdout.trim().split("\n");
    for (const each of wanted) assert(offered.includes(each), `${each} is not in ${offered}`);
    for (const each of unwanted) assert(!offered.includes(each), `${each} is in ${offered}`);
  });
}

for (
  const { shell, program, check } of [
    { shell: "zsh", program: "zsh", check: ["-n"] },
    { shell: "fish", program: "fish", check: ["--no-execute"] },
  ] as const
) {
  Deno.test(unless(await missing(program), `${program} can read its completion script`), async () => {
    await using foster = await Foster.create();
    const file = await foster.write("script", (await foster.expect(0, ["completions", shell])).stdout);
    const { success, stderr } = await new Deno.Command(program, { args: [...check, file] }).output();
    assert(success, new TextDecoder().decode(stderr));
  });
}
