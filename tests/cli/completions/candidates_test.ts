import { assert, assertEquals } from "@std/assert";
import { expectedWord } from "../../../src/cli/completions/candidates.ts";
import type { OptionSpec } from "../../../src/cli/args.ts";
import type { Verb, VerbLoaders } from "../../../src/cli/verb.ts";
import { VERBS } from "../../../src/cli/verbs.ts";
import { typed } from "../command_line.ts";

const loaded: string[] = [];

function verb(name: string, usage: string, options: readonly OptionSpec[] = []): () => Promise<Verb> {
  return () => {
    loaded.push(name);
    const run = () => Promise.reject(new Error("not to be run"));
    return Promise.resolve({ name, summary: `what ${name} does`, usage, options, examples: [], run });
  };
}

const verbs: VerbLoaders = {
  up: verb("up", "[NAME…] [OPTIONS]", [
    { name: "all", kind: "flag", summary: "every one" },
    { name: "timeout", kind: "duration", alias: "t", value: "D", summary: "how long" },
    { name: "cache-dir", kind: "text", value: "DIR", summary: "where" },
    { name: "transport", kind: "text", value: "T", values: ["stdio", "http"], summary: "which" },
  ]),
  import: verb("import", "[FILE] [--server NAME]"),
  attach: verb("attach", "[--server NAME]…", [
    { name: "server", kind: "texts", value: "NAME", summary: "which" },
  ]),
  doctor: verb("doctor", "[processes|ports]"),
};

async function offered(line: string, describe = false) {
  const words = line.split(" ");
  const typing = { before: words.slice(0, -1), current: words.at(-1) ?? "" };
  const { candidates, servers, paths, prefix } = await expectedWord(typing, { verbs, describe });
  return { texts: candidates.map(({ text }) => text), servers, paths, prefix, candidates };
}

const cases: [line: string, expected: Partial<Awaited<ReturnType<typeof offered>>>][] = [
  ["", { texts: ["up", "import", "attach", "doctor"], servers: false }],
  ["help ", { texts: ["up", "import", "attach", "doctor"], servers: false }],
  ["--json ", { texts: ["up", "import", "attach", "doctor"] }],
  ["--config x.json ", { texts: ["up", "import", "attach", "doctor"] }],
  ["--config x.json up ", { texts: [], servers: true }],
  ["nonsense ", { texts: [], servers: false, paths: "none" }],
  ["up ", { texts: [], servers: true, paths: "none" }],
  ["up demo ", { texts: [], servers: true }],
  ["up --timeout ", { texts: [], servers: false, paths: "none" }],
  ["up -t ", { texts: [], servers: false, paths: "none" }],
  ["up --all ", { texts: [], servers: true }],
  ["up --cache-dir ", { paths: "folders", servers: false }],
  ["up --cache-dir=/u", { paths: "folders", prefix: "--cache-dir=" }],
  ["up --transport ", { texts: ["stdio", "http"], servers: false, paths: "none" }],
  ["up --transport=s", { texts: ["stdio", "http"], prefix: "--transport=" }],
  // As bash splits it.
  ["up --transport =", { texts: ["stdio", "http"], prefix: "" }],
  ["up --transport = s", { texts: ["stdio", "http"], prefix: "" }],
  ["up --config ", { paths: "files" }],
  ["up -- ", { texts: [], servers: false, paths: "files" }],
  ["import ", { servers: false, paths: "files" }],
  ["attach ", { servers: false, paths: "none" }],
  ["attach --server ", { servers: true }],
  ["doctor ", { texts: ["processes", "ports"], servers: false }],
];

for (const [line, expected] of cases) {
  Deno.test(`expectedWord() of "${line}" is ${JSON.stringify(expected)}`, async () => {
    const all = await offered(line);
    const found = Object.fromEntries(Object.entries(all).filter(([key]) => key in expected));
    assertEquals(found, expected);
  });
}

Deno.test("expectedWord() offers a verb's options and those of every verb, short ones too", async () => {
  const { texts } = await offered("up --");
  for (const option of ["--all", "--timeout", "-t", "--transport", "--json", "--state-dir", "-q"]) {
    assert(texts.includes(option), option);
  }
  assert(!texts.includes("--version"));
  assert((await offered("-")).texts.includes("--version"));
});

Deno.test("expectedWord() loads only the verb on the line, and all of them for their summaries", async () => {
  loaded.length = 0;
  await offered("");
  await offered("up --");
  assertEquals(loaded, ["up"]);
  const { candidates } = await offered("", true);
  assertEquals(candidates[0], { text: "up", summary: "what up does" });
});

Deno.test("expectedWord() knows the values of the program's options that take one of a few", async () => {
  const found: string[][] = [];
  for (const [name, load] of Object.entries(VERBS)) {
    for (const option of (await load()).options) {
      const before = [name, `--${option.name}`];
      if (option.kind === "flag") continue;
      const { candidates } = await expectedWord({ before, current: "" }, { verbs: VERBS, describe: false });
      if (candidates.length > 0) found.push([...before, ...candidates.map(({ text }) => text)]);
    }
  }
  for (
    const known of [
      ["link", "--readiness", "ready", "no_scene", "importing", "playing"],
      ["register", "--transport", "stdio", "http"],
    ]
  ) assert(found.some((each) => each.join() === known.join()), known.join());
});

async function completed(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await typed(["complete", "--", ...words], {
    text: '{"servers": {"my docs": {"extends": "demo"}, "mine": {"extends": "demo"}}}',
  });
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").filter((line) => line !== "");
}

Deno.test("complete prints what begins as typed, one a line", async () => {
  assertEquals(await completed("re"), ["restart", "recover", "register"]);
  assertEquals(await completed("up", "m"), ["my docs", "mine"]);
  assertEquals(await completed("up", "--r"), ["--recover"]);
  assertEquals(await completed("up", "zzz"), []);
  assertEquals(await completed("completions", "ba"), ["bash"]);
  assert(!(await completed("")).includes("demo-server"));
});

Deno.test("complete prints summaries behind a tab only with --describe, and takes --next for an empty word", async () => {
  const { stdout } = await typed(["complete", "--describe", "--", "schem"]);
  assertEquals(/^schema\t\S.*\n$/.test(stdout), true, stdout);
  const { stdout: next } = await typed(["complete", "--next", "--", "doctor"]);
  assertEquals(next, "processes\nports\ncache\ntools\n");
});

Deno.test("complete prints JSON for programs", async () => {
  const { stdout } = await typed(["complete", "--json", "--", "schem"]);
  assertEquals(JSON.parse(stdout), { candidates: [{ text: "schema", summary: "" }] });
});

Deno.test("complete offers files and folders, hidden ones only behind a dot, links to folders as folders", async () => {
  const words = async (...line: string[]) => {
    const host = (await typed(["presets"])).host;
    host.files.put("/w/foster.json", "{}");
    host.files.put("/w/food/x", "");
    host.files.put("/w/.foo", "");
    host.files.putLink("/w/foot", "/w/food");
    host.files.put("/home/user/notes", "");
    const { runFoster } = await import("../../../src/cli/app.ts");
    host.terminal.outText = "";
    await runFoster(host, ["complete", "--", ...line]);
    return host.terminal.outText.split("\n").filter((each) => each !== "");
  };
  assertEquals(await words("import", "/w/fo"), ["/w/food/", "/w/foot/", "/w/foster.json"]);
  assertEquals(await words("import", "/w/."), ["/w/.foo"]);
  assertEquals(await words("import", "~/no"), ["~/notes"]);
  assertEquals(await words("--state-dir", "/w/"), ["/w/food/", "/w/foot/"]);
  assertEquals(await words("--config=/w/fost"), ["--config=/w/foster.json"]);
  assertEquals(await words("import", "/nowhere/"), []);
});
