import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { type Document, Foster } from "./harness.ts";
import { tiny } from "./tiny.ts";

interface Case {
  title: string;
  /** The text of foster.json; none where there is none. */
  text?: string;
  args: string[];
  /** What the message must say, each. */
  says: RegExp[];
  hint: RegExp;
}

const CASES: Case[] = [
  {
    title: "a definition file that is not there",
    args: ["up", "--config", "nowhere.json"],
    says: [/project[\\/]nowhere\.json/],
    hint: /foster init|FOSTER_CONFIG|--config|foster\.json/,
  },
  {
    title: "a definition file that is not JSON",
    text: '{\n  "servers": {\n    "a": { "command": "x",, "port": 3001 }\n  }\n}',
    args: ["up"],
    says: [/foster\.json/, /line 3, column \d+/],
    hint: /comma|bracket|quote/,
  },
  {
    title: "a server that stands twice",
    text: '{ "servers": { "a": { "extends": "demo" },\n "a": { "extends": "demo" } } }',
    args: ["up"],
    says: [/foster\.json/, /server "a"/, /twice/, /line 2/],
    hint: /rename/,
  },
  {
    title: "a key that is not known",
    text: '{ "servers": { "a": { "extends": "demo", "prot": 3001 } } }',
    args: ["up"],
    says: [/foster\.json/, /server "a"/, /"prot"/],
    hint: /did you mean "port"/,
  },
  {
    title: "a variable that is not known",
    text: '{ "servers": { "a": { "command": "x", "args": ["${prot}"], "port": 3001 } } }',
    args: ["up"],
    says: [/foster\.json/, /server "a"/, /args/, /prot/],
    hint: /port/,
  },
  {
    title: "a port out of range",
    text: '{ "servers": { "a": { "command": "x", "port": 80 } } }',
    args: ["up"],
    says: [/foster\.json/, /server "a"/, /"port"/, /1024/, /80/],
    hint: /^/,
  },
  {
    title: "one port twice",
    text: '{ "servers": { "a": { "command": "x", "port": 3001 }, "b": { "command": "x", "port": 3001 } } }',
    args: ["up"],
    says: [/foster\.json/, /server "b"/, /"port"/, /3001/, /"a"/],
    hint: /auto/,
  },
  {
    title: "a name that can't be one",
    text: '{ "servers": { "a/b": { "extends": "demo" } } }',
    args: ["up"],
    says: [/foster\.json/, /"a\/b"/],
    hint: /^/,
  },
  {
    title: "an address of another machine",
    text: '{ "servers": { "a": { "extends": "demo", "host": "0.0.0.0" } } }',
    args: ["up"],
    says: [/foster\.json/, /server "a"/, /"host"/, /127\.0\.0\.1/],
    hint: /^/,
  },
  {
    title: "up with nothing to start",
    args: ["up"],
    says: [/which server/],
    hint: /demo, everything, godot-ai/,
  },
  { title: "down with nothing to stop", args: ["down"], says: [/which server/], hint: /demo/ },
  { title: "an unknown verb", args: ["upp"], says: [/unknown verb "upp"/], hint: /foster up/ },
  { title: "an unknown option", args: ["up", "demo", "--recovr"], says: [/--recovr/], hint: /--recover/ },
  { title: "an unknown name", args: ["up", "demoo"], says: [/"demoo"/], hint: /did you mean "demo"/ },
  {
    title: "a duration that is none",
    args: ["up", "demo", "--timeout", "soon"],
    says: [/--timeout soon/],
    hint: /250ms/,
  },
  {
    title: "a port that is none",
    args: ["up", "demo", "--port", "80"],
    says: [/--port 80/, /1024/],
    hint: /^/,
  },
  { title: "a name and --all", args: ["up", "demo", "--all"], says: [/either names or --all/], hint: /^/ },
];

for (const { title, text, args, says, hint } of CASES) {
  Deno.test(`${title} ends with 2, one line that says where, and a hint`, async () => {
    await using foster = await Foster.create();
    if (text !== undefined) await foster.write("foster.json", text);
    const [plain, programs] = await Promise.all([
      foster.expect(2, args),
      foster.expect(2, [...args, "--json"]),
    ]);
    const [message = "", more = ""] = plain.stderr.trimEnd().split("\n");
    for (const pattern of says) assertMatch(message, pattern);
    assertMatch(more, hint);
    assert(plain.stderr.trimEnd().split("\n").length <= 2, plain.stderr);
    assertEquals(plain.stdout, "");

    const { error, servers } = programs.json<Partial<Document>>();
    assertEquals(servers, undefined);
    assertEquals([error?.message, error?.exit_code], [message, 2]);
    assert(typeof error?.code === "string" && error.hint === more.trim());
  });
}

Deno.test("a broken definition file does not keep down --all from stopping what runs", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto") });
  const { pid } = (await foster.expect(0, ["up", "--json"])).row();
  await foster.write("foster.json", "{");
  const row = (await foster.expect(0, ["down", "--all", "--json"])).row();
  assertEquals(row.recovered?.killed, [pid]);
});

Deno.test("a broken definition file keeps its servers from nothing that a record is enough for, and means no others", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto") });
  const { pid, key } = (await foster.expect(0, ["up", "--json"])).row();
  const other = join(foster.folder, "other");
  await Deno.mkdir(other);
  await Deno.writeTextFile(
    join(other, "foster.json"),
    JSON.stringify({ servers: { t: tiny("auto"), other: tiny("auto") } }),
  );
  const others = (await foster.expect(0, ["up", "--json"], { cwd: other })).json().servers;

  await foster.write("foster.json", "{");
  assert((await foster.expect(0, ["logs", "t", "--events"])).stdout.includes(`pid ${pid}`));
  for (const args of [["up", "t"], ["down", "absent"], ["down", "other"], ["logs", "other"]]) {
    await foster.expect(2, args);
  }
  // What the record says is of no account for whom the name means.
  await Deno.writeTextFile(join(foster.stateDir, "servers", key, "record.json"), "{");
  const down = await foster.expect(0, ["down", "t", "--json"]);
  assertEquals([down.row().key, down.row().recovered?.killed], [key, [pid]]);
  assertMatch(down.stderr, new RegExp(`foster\\.json.*\\n {2}going by the record of ${key} alone`));
  assert((await foster.expect(0, ["logs", "t", "--events"])).stdout.includes("stopped"));

  // Nothing of it runs any more, here or in a file that is not there.
  await foster.expect(0, ["down", "t"]);
  await foster.expect(2, ["down", "t", "--config", "fostr.json"]);
  for (const { name, pid } of others) {
    assertEquals((await foster.expect(0, ["status", name, "--json"], { cwd: other })).row().pid, pid);
  }
  // A whole key says enough.
  const [first] = others;
  assertEquals(
    (await foster.expect(0, ["down", first?.key ?? "", "--json"])).row().recovered?.killed,
    [first?.pid],
  );
});

Deno.test("a server of one name in two projects is found by definition, by key, and never guessed", async () => {
  await using foster = await Foster.create();
  const projects = [join(foster.folder, "one"), join(foster.folder, "two")];
  const keys: string[] = [];
  for (const project of projects) {
    await Deno.mkdir(project);
    await Deno.writeTextFile(
      join(project, "foster.json"),
      JSON.stringify({ servers: { docs: tiny("auto") } }),
    );
    keys.push((await foster.expect(0, ["up", "docs", "--json"], { cwd: project })).row().key);
  }
  const [one = "", two = ""] = keys;
  const cwd = foster.home;
  assertEquals((await foster.expect(0, ["ps", "--json"], { cwd })).json().servers.length, 2);

  const ambiguous = await foster.expect(2, ["status", "docs"], { cwd });
  for (const key of keys) assert(ambiguous.stderr.includes(key), ambiguous.stderr);
  assertEquals((await foster.expect(2, ["down", "docs", "--json"], { cwd })).json().error?.exit_code, 2);

  assertEquals((await foster.expect(0, ["status", one, "--json"], { cwd })).row().key, one);
  assertEquals((await foster.expect(0, ["down", one, "--json"], { cwd })).row().key, one);
  // Now the only one of that name, its definition gone.
  await Deno.remove(join(foster.folder, "two", "foster.json"));
  assertEquals((await foster.expect(0, ["down", "docs", "--json"], { cwd })).row().key, two);
  assertEquals(await foster.servers(), []);
});

Deno.test("the definition nearest to where the user stands counts, also through a task runner", async () => {
  await using foster = await Foster.create();
  const inner = join(foster.cwd, "inner", "deeper");
  await Deno.mkdir(inner, { recursive: true });
  await foster.define({ outer: tiny("auto") });
  await Deno.writeTextFile(
    join(foster.cwd, "inner", "foster.jsonc"),
    '{ "servers": { "near": { "extends": "demo" } } }',
  );
  const names = async (cwd: string, env: Record<string, string> = {}) =>
    (await foster.expect(0, ["down", "--json"], { cwd, env })).json().servers.map((row) => row.name);
  assertEquals(await names(foster.cwd), ["outer"]);
  assertEquals(await names(inner), ["near"]);
  // npm runs a package's scripts in its folder, wherever its user stands below.
  const packageFile = await foster.write("package.json", "{}");
  const task = { INIT_CWD: inner, npm_package_json: packageFile };
  assertEquals(await names(foster.cwd, task), ["near"]);
  // A terminal that such a task started long ago inherits the variable.
  assertEquals((await foster.run(["down"], { cwd: foster.home, env: task })).code, 2);
  assertEquals(await names(inner, { FOSTER_CONFIG: join(foster.cwd, "foster.json") }), ["outer"]);
  const flag = await foster.expect(0, ["down", "--json", "--config", "../foster.jsonc"], {
    cwd: foster.cwd,
    env: task,
  });
  assertEquals(flag.row().name, "near");
});

Deno.test("a server that speaks stdio now and had an endpoint before can still be taken away", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto") });
  const { key, pid } = (await foster.expect(0, ["up", "--json"])).row();
  await foster.define({ t: tiny("auto", { transport: "stdio" }) });
  assertEquals((await foster.record(key))?.pid, pid);
  const down = await foster.expect(0, ["down", "--json"]);
  assertEquals([down.row().name, down.row().recovered?.killed], ["t", [pid]]);
  assertEquals(await foster.record(key), null);
});
