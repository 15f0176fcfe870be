import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DefinitionError } from "../../src/definitions/definition_error.ts";
import { judgeFoundFile } from "../../src/definitions/found_file.ts";
import { loadDefinitions } from "../../src/definitions/load.ts";
import { isBroughtIn, trustedName } from "../../src/definitions/trust.ts";
import { findCallerFolder } from "../../src/cli/caller_folder.ts";
import { inFolder, machine } from "./machine.ts";

const ONE = '{"servers": {"one": {"command": "x", "port": 4001}}}';
const OWN = '{"servers": {"mine": {"command": "m"}, "docs": {"command": "users"}}}';

const MCP_JSON = JSON.stringify({
  mcpServers: {
    docs: {
      type: "stdio",
      command: "npx",
      args: ["-y", "pkg", "--at=${ROOT:-/srv}/x", "$${cmd:rm}", "${cmd:rm -rf /}", "${port}"],
      env: { KEY: "${KEY}" },
      alwaysLoad: true,
    },
    remote: { type: "http", url: "https://mcp.example.com/mcp" },
    loop: { type: "stdio", command: "/opt/foster", args: ["connect", "docs"] },
    "a/b": { command: "x" },
    bad: { command: "x", args: "y" },
    Docs: { command: "y" },
  },
});

Deno.test("loadDefinitions() takes the nearest .mcp.json where no foster.json is found upward, before the user's", async () => {
  await inFolder({
    "p/.mcp.json": MCP_JSON,
    "p/sub/x": "",
    "q/foster.json": ONE,
    "q/r/.mcp.json": MCP_JSON,
    "home/.config/foster/foster.json": OWN,
  }, async (folder) => {
    const host = machine({ HOME: `${folder}/home` });
    const load = (caller: string, configFlag: string | null = null) =>
      loadDefinitions(host, { configFlag, callerFolder: `${folder}/${caller}` });
    const loaded = await load("p/sub");
    assertEquals([loaded.file, loaded.kind, loaded.isMcpJson, loaded.isNamed], [
      `${folder}/p/.mcp.json`,
      "project",
      true,
      false,
    ]);
    assertEquals((await load("q/r")).file, `${folder}/q/foster.json`);
    assertEquals((await load(".")).file, `${folder}/home/.config/foster/foster.json`);
    const named = await load("q", "r/.mcp.json");
    assertEquals([named.isMcpJson, named.isNamed], [true, true]);
    // Beside a .mcp.json a name that it lacks is one of the user's own, then a preset.
    assertEquals(loaded.find("docs")?.launch[0]?.command, "npx");
    assertEquals(loaded.find("mine")?.key, "mine");
    assertEquals(loaded.find("demo")?.source.kind, "preset");
    assertEquals(loaded.find("one"), null);
    assertEquals(loaded.names(), ["docs", "mine", "demo", "everything", "godot-ai"]);
    assertEquals((await load("q/r")).find("mine"), null);
  });
});

Deno.test("loadDefinitions() reads a .mcp.json as its clients do and says what it passes over", async () => {
  await inFolder({ ".mcp.json": MCP_JSON }, async (folder) => {
    const loaded = await loadDefinitions(machine(), { configFlag: null, callerFolder: folder });
    const [docs, ...more] = loaded.inFile;
    assertEquals(more, []);
    assertEquals([docs?.name, docs?.transport, docs?.baseFolder], ["docs", "stdio", folder]);
    assertEquals(docs?.args, [
      "-y",
      "pkg",
      "--at=${env:ROOT:-/srv}/x",
      "$$${cmd:rm}",
      "$${cmd:rm -rf /}",
      "${env:port}",
    ]);
    assertEquals(docs?.env, { KEY: "${env:KEY}" });
    assertEquals(loaded.passedOver.map(({ name, reason }) => [name, reason.slice(0, 20)]), [
      ["remote", "it is remote: foster"],
      ["loop", "it runs foster itsel"],
      ["a/b", "its name is not 1 to"],
      ["bad", "its args are no list"],
      ["Docs", "its name is the same"],
    ]);
  });
});

Deno.test("loadDefinitions() reads a .mcp.json without the list's name, and refuses one without servers", async () => {
  await inFolder(
    { "a/.mcp.json": '{"x": {"command": "y"}}', "b/.mcp.json": '{"theme": 1}' },
    async (folder) => {
      const load = (name: string) =>
        loadDefinitions(machine(), { configFlag: null, callerFolder: `${folder}/${name}` });
      assertEquals((await load("a")).inFile.map(({ name }) => name), ["x"]);
      await assertRejects(() => load("b"), DefinitionError, "has no list of servers");
    },
  );
});

Deno.test("loadDefinitions() asks a broken file of the user only for names that a .mcp.json lacks", async () => {
  await inFolder({ "p/.mcp.json": MCP_JSON, "home/.config/foster/foster.json": "{" }, async (folder) => {
    const host = machine({ HOME: `${folder}/home` });
    const loaded = await loadDefinitions(host, { configFlag: null, callerFolder: `${folder}/p` });
    assertEquals(loaded.find("docs")?.name, "docs");
    await assertRejects(
      () => Promise.resolve().then(() => loaded.find("mine")),
      DefinitionError,
      "not valid JSON",
    );
  });
});

Deno.test("trustedName() takes a .mcp.json found by searching only once that very text was brought in", async () => {
  await inFolder({ "p/.mcp.json": MCP_JSON, "home/.config/foster/foster.json": OWN }, async (folder) => {
    const callerFolder = `${folder}/p`;
    const host = machine({ HOME: `${folder}/home` });
    const loaded = await loadDefinitions(host, { configFlag: null, callerFolder });
    const commandOf = (name: string, broughtIn: Parameters<typeof trustedName>[2], from = loaded) => {
      const found = trustedName(from, name, broughtIn);
      return found.kind === "defined" ? found.definition.launch[0]?.command : found.kind;
    };
    // The user's own definition of the name goes first.
    assertEquals(commandOf("docs", []), "users");
    assertEquals(commandOf("demo", []), "foster");
    assertEquals(commandOf("nothing", []), "undefined");
    const brought = [{ path: loaded.file, sha256: loaded.sha256 }];
    assert(isBroughtIn(loaded, brought));
    assertEquals(commandOf("docs", brought), "npx");
    assertEquals(commandOf("docs", [{ path: loaded.file, sha256: "0".repeat(64) }]), "users");
    const named = await loadDefinitions(host, { configFlag: ".mcp.json", callerFolder });
    assertEquals(commandOf("docs", [], named), "npx");
    const alone = await loadDefinitions(machine(), { configFlag: null, callerFolder });
    const refused = trustedName(alone, "docs", []);
    assert(refused.kind === "not_brought_in");
    assertStringIncludes(refused.message, `${folder}/p/.mcp.json`);
    assertStringIncludes(refused.hint, 'foster up "docs"');
  });
});

for (
  const { what, stat, userId = 1000, folderOwner = null, problem } of [
    { what: "the caller's own", stat: { uid: 1000, mode: 0o644 }, problem: null },
    { what: "root's", stat: { uid: 0, mode: 0o644 }, problem: null },
    { what: "one of the group's that the group may write", stat: { uid: 1000, mode: 0o664 }, problem: null },
    { what: "another user's", stat: { uid: 12345, mode: 0o644 }, problem: "another user (uid 12345)" },
    {
      what: "the folder owner's for a caller who is not root",
      stat: { uid: 7, mode: 0o644 },
      folderOwner: 7,
      problem: "uid 7",
    },
    {
      what: "the folder owner's for root",
      stat: { uid: 7, mode: 0o644 },
      userId: 0,
      folderOwner: 7,
      problem: null,
    },
    {
      what: "another user's for root",
      stat: { uid: 8, mode: 0o644 },
      userId: 0,
      folderOwner: 7,
      problem: "uid 8",
    },
    {
      what: "one that everybody may write",
      stat: { uid: 1000, mode: 0o666 },
      problem: "by everybody (owner uid 1000)",
    },
    {
      what: "a link of another user's",
      stat: { uid: 5, mode: 0o777, kind: "link" as const },
      problem: "uid 5",
    },
    { what: "a link of one's own", stat: { uid: 1000, mode: 0o777, kind: "link" as const }, problem: null },
    { what: "one without an owner", stat: { uid: null, mode: null }, problem: null },
  ]
) {
  Deno.test(`judgeFoundFile() says ${problem === null ? "nothing" : "no"} of ${what}`, () => {
    const judged = judgeFoundFile([{ kind: "file", ...stat }], { userId, folderOwner });
    if (problem === null) assertEquals(judged, null);
    else assertStringIncludes(judged ?? "", problem);
  });
}

Deno.test({
  name: "loadDefinitions() refuses a found file that everybody may write, and reads it where it is named",
  ignore: Deno.build.os === "windows",
  async fn() {
    for (const name of ["foster.json", ".mcp.json"]) {
      await inFolder({ [name]: name === "foster.json" ? ONE : MCP_JSON, "sub/x": "" }, async (folder) => {
        await Deno.chmod(`${folder}/${name}`, 0o666);
        const options = { callerFolder: `${folder}/sub` };
        const error = await assertRejects(
          () => loadDefinitions(machine(), { configFlag: null, ...options }),
          DefinitionError,
        );
        assertStringIncludes(error.message, `${folder}/${name}: may be written to by everybody (owner uid`);
        assertStringIncludes(error.hint ?? "", `--config ${folder}/${name}`);
        const named = await loadDefinitions(machine(), { configFlag: `../${name}`, ...options });
        assertEquals(named.inFile.length, 1);
      });
    }
  },
});

Deno.test({
  name: "loadDefinitions() does not wait for a pipe that is called as a definition file",
  ignore: Deno.build.os === "windows",
  async fn() {
    await inFolder({ x: "" }, async (folder) => {
      await new Deno.Command("mkfifo", { args: [`${folder}/foster.json`] }).output();
      await assertRejects(
        () => loadDefinitions(machine(), { configFlag: null, callerFolder: folder }),
        DefinitionError,
        "can't be read",
      );
    });
  },
});

Deno.test("loadDefinitions() reads UTF-16 and CRLF, and names the encoding and offset of what it can't read", async () => {
  await inFolder({ x: "" }, async (folder) => {
    const load = async (bytes: number[]) => {
      await Deno.writeFile(`${folder}/foster.json`, new Uint8Array(bytes));
      return await loadDefinitions(machine(), { configFlag: null, callerFolder: folder });
    };
    const text = ONE.replaceAll(" ", "\r\n");
    const utf16 = [...text].flatMap((char) => [char.charCodeAt(0), 0]);
    const utf8 = [...new TextEncoder().encode(text)];
    for (const bytes of [[0xff, 0xfe, ...utf16], utf16, utf8, [0xef, 0xbb, 0xbf, ...utf8]]) {
      assertEquals((await load(bytes)).inFile.map(({ name }) => name), ["one"]);
    }
    const latin = await assertRejects(() => load([...utf8, 0x2f, 0x2f, 0xe9]), DefinitionError);
    assertEquals(
      latin.message,
      `${folder}/foster.json: is not valid UTF-8: the byte 0xe9 at offset ${utf8.length + 2}`,
    );
    await assertRejects(() => load([0xff, 0xfe, ...utf16, 0x7b]), DefinitionError, "not valid UTF-16LE");
  });
});

Deno.test("loadDefinitions() finds nothing above a folder that is gone", async () => {
  await inFolder({ "foster.json": ONE }, async (folder) => {
    const loaded = await loadDefinitions(machine(), { configFlag: null, callerFolder: `${folder}/gone` });
    assertEquals([loaded.file, loaded.find("demo")?.name], [null, "demo"]);
  });
});

Deno.test("findCallerFolder() follows a task runner only where foster is the task's own command", async () => {
  await inFolder({
    "pkg/package.json": "{}",
    "pkg/sub/x": "",
    "task/deno.json": "{}",
    "task/sub/x": "",
    "work/x": "",
  }, async (
    folder,
  ) => {
    const table: [what: string, present: string, env: Record<string, string>, expected: string][] = [
      ["no runner", "work", {}, "work"],
      [
        "npm run below the package",
        "pkg",
        { INIT_CWD: "pkg/sub", npm_package_json: "pkg/package.json" },
        "pkg/sub",
      ],
      ["npm run in the package", "pkg", { INIT_CWD: "pkg", npm_package_json: "pkg/package.json" }, "pkg"],
      ["deno task below its file", "task", { INIT_CWD: "task/sub" }, "task/sub"],
      ["an editor that npm started elsewhere", "work", {
        INIT_CWD: "pkg",
        npm_package_json: "pkg/package.json",
      }, "work"],
      [
        "a terminal below the package",
        "pkg/sub",
        { INIT_CWD: "pkg", npm_package_json: "pkg/package.json" },
        "pkg/sub",
      ],
      ["a folder above without a task file", ".", { INIT_CWD: "work" }, "."],
      [
        "another package's task",
        "task",
        { INIT_CWD: "task/sub", npm_package_json: "pkg/package.json" },
        "task",
      ],
      ["nothing", "work", { INIT_CWD: "" }, "work"],
    ];
    for (const [what, present, env, expected] of table) {
      const absolute = Object.fromEntries(
        Object.entries(env).map(([name, path]) => [name, path && `${folder}/${path}`]),
      );
      const host = machine(absolute);
      const found = await findCallerFolder({
        ...host,
        program: { ...host.program, folder: at(folder, present) },
      });
      assertEquals(found, at(folder, expected), what);
    }
  });
});

function at(folder: string, path: string): string {
  return path === "." ? folder : `${folder}/${path}`;
}
