import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DefinitionError } from "../../src/definitions/definition_error.ts";
import {
  parseEnvText,
  readEnvFile,
  resolveHeaders,
  resolveStopCommand,
  startCommands,
} from "../../src/definitions/launch/values.ts";
import { define, inFolder, machine, varsOf } from "./machine.ts";

const PATH = Deno.env.get("PATH") ?? "";
const TALK = '#!/bin/sh\necho "  $1-$KEY  "\necho once >> "$(dirname "$0")/runs"\n';

Deno.test({
  name: "startCommands() gives the trimmed output of each program, in the caller's environment, once",
  ignore: Deno.build.os === "windows",
  async fn() {
    await inFolder({ "my tools/talk": TALK, x: "" }, async (folder) => {
      const host = machine({ PATH, KEY: "k" });
      const definition = define({
        args: ["a", ["${cmd:'my tools/talk' one}"]],
        env: { B: "${cmd:'my tools/talk' one}" },
        session: { env: "S", payload: { deep: ["${cmd:'my tools/talk' two}"] } },
        headers: { X: "${cmd:missing-for-headers}" },
      }, { baseFolder: folder });
      const store = new Map<string, string>();
      const outputs = await startCommands(host, definition, store);
      assertEquals([...outputs], [["'my tools/talk' one", "one-k"], ["'my tools/talk' two", "two-k"]]);
      assertEquals([...store], [...outputs]);
      // A restart asks nobody again.
      await startCommands(host, definition, store);
      assertEquals(await Deno.readTextFile(`${folder}/my tools/runs`), "once\nonce\n");
    });
  },
});

Deno.test({
  name: "startCommands() names file, server and key of a program that gives nothing, and no value",
  ignore: Deno.build.os === "windows",
  async fn() {
    const files = { "fail": "#!/bin/sh\necho s3cret\necho 'no such entry' >&2\nexit 3\n" };
    await inFolder(files, async (folder) => {
      const host = machine({ PATH });
      const table: [string, RegExp][] = [
        ["./fail x", /server "docs": "env" has \$\{cmd:\.\/fail x\}, which ended with 3: no such entry$/],
        ["foster-no-such-program", /a program that was not found$/],
      ];
      for (const [words, message] of table) {
        const definition = define({ env: { A: `\${cmd:${words}}` } }, { baseFolder: folder });
        const error = await assertRejects(() => startCommands(host, definition, new Map()), DefinitionError);
        assert(message.test(error.message) && !error.message.includes("s3cret"), error.message);
        assertEquals([error.server, error.key], ["docs", "env"]);
      }
    });
  },
});

Deno.test("resolveHeaders() puts values in and refuses what no header can hold", async () => {
  const host = machine({ PATH });
  const values: Record<string, string> = { KEY: "s3cret", BAD: "a\r\nX: b" };
  const options = { port: 4001, env: (name: string) => values[name], store: new Map<string, string>() };
  const headers = { Authorization: "Bearer ${env:KEY}", "X-Port": "${port}" };
  assertEquals(await resolveHeaders(host, define({ headers }), options), {
    Authorization: "Bearer s3cret",
    "X-Port": "4001",
  });
  const bad = define({ headers: { A: "${env:BAD}" } });
  const error = await assertRejects(() => resolveHeaders(host, bad, options), DefinitionError);
  assertStringIncludes(error.message, '"headers.A" has a value that no HTTP header can hold');
  assertEquals(error.message.includes("X: b"), false);
});

Deno.test("resolveStopCommand() gives the words in full and masked, null without one", async () => {
  const host = machine({ PATH });
  const facts = {
    port: 4001,
    wsPort: null,
    pidFile: "/s/pid",
    sessionFile: null,
    sessionId: null,
    stateDir: "/s",
    ownerPid: null,
    token: "t",
    env: () => "v",
  };
  const options = { facts, store: new Map<string, string>() };
  const definition = define({ stop: { command: "docker stop 'a ${env:X}' ${port}" } });
  assertEquals(await resolveStopCommand(host, definition, options), {
    words: ["docker", "stop", "a v", "4001"],
    maskedWords: ["docker", "stop", "a ${env:X}", "4001"],
  });
  assertEquals(await resolveStopCommand(host, define({}), options), null);
});

Deno.test("parseEnvText() reads KEY=VALUE lines with comments and quotes, and interpolates nothing", () => {
  const text = [
    "# a comment",
    "",
    "PLAIN=value",
    "  export SPACED =  a b  # why",
    "HASH=a#b",
    "EMPTY=",
    "COMMENT= # nothing",
    "SINGLE='a \\n $X # b'  # why",
    'DOUBLE="a\\n\\"b\\" $X \\z"',
    "URL=https://x/?a=b",
    'LINES="one',
    'two"',
    "LAST=${PLAIN}",
  ];
  const expected = {
    PLAIN: "value",
    SPACED: "a b",
    HASH: "a#b",
    EMPTY: "",
    COMMENT: "",
    SINGLE: "a \\n $X # b",
    DOUBLE: 'a\n"b" $X \\z',
    URL: "https://x/?a=b",
    LINES: "one\ntwo",
    LAST: "${PLAIN}",
  };
  for (const end of ["\n", "\r\n"]) {
    assertEquals(parseEnvText(text.join(end)), { kind: "read", values: expected }, JSON.stringify(end));
  }
});

Deno.test("parseEnvText() names the line that is none", () => {
  for (
    const [text, line] of [["A=1\nnonsense", 2], ["A='x", 1], ["\n1A=x", 2], ["=x", 1], [
      'A="x" y',
      1,
    ]] as const
  ) {
    assertEquals(parseEnvText(text), { kind: "malformed", line }, text);
  }
});

Deno.test("readEnvFile() names file, server and key of what can't be read, and never a value", async () => {
  await inFolder(
    { "good.env": "KEY=s3cret\n", "bad.env": "KEY=s3cret\ns3cret\n", "folder/x": "" },
    async (folder) => {
      const read = (envFile: string) => {
        const definition = define({ envFile }, { baseFolder: folder });
        return readEnvFile(machine(), definition, varsOf(definition, { NAME: "good" }));
      };
      assertEquals(await read("${env:NAME}.env"), { KEY: "s3cret" });
      await Deno.writeFile(`${folder}/latin.env`, new Uint8Array([0x41, 0x3d, 0xe9]));
      for (
        const [envFile, what] of [
          ["none.env", `names ${folder}/none.env, and there is no such file`],
          ["bad.env", "whose line 2 is not KEY=VALUE"],
          ["folder", "can't be read"],
          ["latin.env", "is no UTF-8 at offset 2"],
        ] as const
      ) {
        const error = await assertRejects(() => read(envFile), DefinitionError);
        assertStringIncludes(error.message, 'server "docs": "envFile"');
        assertStringIncludes(error.message, what);
        assertEquals(error.message.includes("s3cret"), false);
      }
      assertEquals(await readEnvFile(machine(), define({}), varsOf(define({}))), {});
    },
  );
});
