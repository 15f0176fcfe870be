import { assert, assertEquals } from "@std/assert";
import { completionScript, completionTable, SHELLS } from "../../../src/cli/completions/table.ts";
import { VERBS } from "../../../src/cli/verbs.ts";

const table = completionTable([
  {
    name: "up",
    summary: "make it be there; it's $HOME's",
    usage: "[NAME…] [OPTIONS]",
    options: [
      { name: "all", kind: "flag", summary: "every one" },
      { name: "timeout", kind: "duration", alias: "t", value: "D", summary: "how long" },
      { name: "cache-dir", kind: "text", value: "DIR", summary: "where" },
      { name: "transport", kind: "text", value: "T", values: ["stdio", "http"], summary: "which" },
    ],
  },
  { name: "import", summary: "take", usage: "[FILE]", options: [] },
  { name: "doctor", summary: "look", usage: "[processes|ports]", options: [] },
]);

Deno.test("completionTable() knows which verbs take servers, which take words, and what follows an option", () => {
  const [up, take, doctor] = table.verbs;
  assertEquals([up?.servers, up?.words], [true, []]);
  assertEquals([take?.files, up?.files], [true, false]);
  assertEquals([doctor?.servers, doctor?.words], [false, ["processes", "ports"]]);
  assertEquals(up?.options.map(({ long, short, value, values }) => [long, short, value, values]), [
    ["--all", null, "none", []],
    ["--timeout", "-t", "other", []],
    ["--cache-dir", null, "folder", []],
    ["--transport", null, "other", ["stdio", "http"]],
  ]);
  assertEquals(table.everywhere.find(({ long }) => long === "--config")?.value, "file");
});

for (const shell of SHELLS) {
  Deno.test(`completionScript() for ${shell} has every verb and option and quotes what they say`, () => {
    const script = completionScript(shell, table);
    for (const word of ["up", "doctor", "processes", "timeout", "cache-dir", "state-dir"]) {
      assert(script.includes(word), word);
    }
    const quoted = {
      bash: null,
      zsh: `it'\\''s $HOME'\\''s`,
      fish: `it\\'s $HOME\\'s`,
      powershell: `it''s $HOME''s`,
    }[shell];
    assert(quoted === null || script.includes(quoted), script);
    const listed = {
      bash: '    --transport) COMPREPLY=($(compgen -W "stdio http" -- "$cur")); return ;;',
      zsh: "    --transport) compadd stdio http; return ;;",
      fish: "-l transport -x -a 'stdio http' -d 'which'",
      powershell: "    '--transport' = @('stdio', 'http')\n",
    }[shell];
    assert(script.includes(listed), script);
    assert(!/[^\x20-\x7e\n\t]/.test(script), "plain text only");
  });
}

Deno.test("completionTable() of the program knows the values of options that take one of a few", async () => {
  const verbs = await Promise.all(Object.values(VERBS).map((load) => load()));
  const known = completionTable(verbs).verbs.flatMap(({ name, options }) =>
    options.filter(({ values }) => values.length > 0).map(({ long, values }) => [name, long, ...values])
  );
  assertEquals(known, [
    ["link", "--readiness", "ready", "no_scene", "importing", "playing"],
    ["register", "--transport", "stdio", "http"],
  ]);
});
