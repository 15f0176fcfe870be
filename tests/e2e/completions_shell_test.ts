import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { SHELLS } from "../../src/cli/completions/shims.ts";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";
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

Deno.test("completions prints a script for every shell, which asks foster for the candidates", async () => {
  await using foster = await Foster.create();
  for (const shell of SHELLS) {
    const { stdout } = await foster.expect(0, ["completions", shell]);
    assertMatch(stdout, / complete (--describe )?(--next )?-- /);
    assert(!/[^\x20-\x7e\n\t]/.test(stdout), "plain text only");
  }
  assertMatch((await foster.expect(2, ["completions", "tcsh"])).stderr, /no shell that foster knows/);
  assertMatch((await foster.expect(2, ["completions"])).stderr, /which shell\?/);
});

Deno.test("complete and completions --names print definitions, presets and recorded servers, also beside a broken file", async () => {
  await using foster = await Foster.create();
  await foster.define({ "my docs": { extends: "demo" } });
  const names = async () => {
    const ways = [["completions", "--names"], ["complete", "--", "up", ""]];
    const [listed, completed] = await Promise.all(
      ways.map(async (words) => (await foster.expect(0, words)).stdout),
    );
    assertEquals(listed, completed);
    return listed?.trim().split("\n");
  };
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
    { words: ["foster", "--state-dir", "/us"], wanted: ["/usr/"], unwanted: ["up"] },
    { words: ["foster", "--config", "=", "fost"], wanted: ["foster.json"], unwanted: ["up"] },
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
    const { stdout, stderr } = await running.finish();
    assertEquals(stderr, "");
    const offered = stdout.trim().split("\n");
    for (const each of wanted) assert(offered.includes(each), `${each} is not in ${offered}`);
    for (const each of unwanted) assert(!offered.includes(each), `${each} is in ${offered}`);
  });
}

/** What a shell program prints that has foster on its PATH, in a folder with a definition of `my docs`. */
async function printed(foster: Foster, program: string, args: string[]): Promise<string> {
  await foster.define({ "my docs": { extends: "demo" } });
  const folder = await programFolder(foster);
  const env = { PATH: `${folder}:${Deno.env.get("PATH")}`, HOME: foster.folder, TERM: "dumb" };
  const { stdout, stderr } = await foster.startProgram(program, args, { env }).finish();
  assertEquals(stderr, "");
  return stdout;
}

Deno.test({
  ...unless(await missing("fish"), "fish completes with what foster offers"),
  async fn() {
    await using foster = await Foster.create();
    const program = `source (foster completions fish | psub)
for line in "foster reco" "foster up " "foster up my" "foster --state-dir /us" "foster doctor po"
  echo "== $line"; complete -C $line
end`;
    const said = await printed(foster, "fish", ["--no-config", "-c", program]);
    const offered = Object.fromEntries(
      said.split("== ").slice(1).map((part) => {
        const [line, ...candidates] = part.trimEnd().split("\n");
        return [line, candidates];
      }),
    );
    assertMatch(offered["foster reco"]?.[0] ?? "", /^recover\t\S/);
    assertEquals(offered["foster up "], ["demo", "everything", "godot-ai", "my docs"]);
    assertEquals(offered["foster up my"], ["my docs"]);
    assertEquals(offered["foster --state-dir /us"], ["/usr/"]);
    assertEquals(offered["foster doctor po"], ["ports"]);
  },
});

for (
  const [line, appears] of [
    ["foster up ", "*demo*everything*godot-ai*my docs*"],
    ["foster up ev", "*ev*erything*"],
    ["foster reco", "*reco*ver*"],
  ] as const
) {
  Deno.test({
    ...unless(await missing("zsh"), `zsh completes "${line}" with what foster offers`),
    async fn() {
      await using foster = await Foster.create();
      const program = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=""; autoload -U compinit; compinit -u -D; source <(foster completions zsh); echo REA""DY'
zpty -r shell out '*READY*'
zpty -w -n shell '${line}'$'\t'
zpty -r shell out '${appears}' && print -r -- "$out"
zpty -d shell`;
      assert((await printed(foster, "zsh", ["-f", "-c", program])) !== "");
    },
  });
}

Deno.test({
  ...unless(await missing("pwsh"), "PowerShell completes with what foster offers"),
  async fn() {
    await using foster = await Foster.create();
    const program = `foster completions powershell | Out-String | Invoke-Expression
foreach ($line in 'foster reco', 'foster up ', 'foster up my') {
  "== $line"; (TabExpansion2 $line $line.Length).CompletionMatches.CompletionText
}`;
    const said = await printed(foster, "pwsh", ["-NoProfile", "-Command", program]);
    assertMatch(
      said,
      /== foster reco\s+recover\s+== foster up\s+'my docs'\s+demo[^=]+== foster up my\s+'my docs'/,
    );
  },
});
