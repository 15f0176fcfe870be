import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { runFoster } from "../../src/cli/app.ts";
import { projectKey } from "../../src/definitions/hash.ts";
import { FakeHost } from "../host/fake_host.ts";
import { FOSTER_JSON, STATE, typed } from "./command_line.ts";

for (const text of ["{}", '{ "servers": {} }', '{ "mcpServers": {} }']) {
  Deno.test(`verbs without a name say that a definition file of ${text} defines no servers`, async () => {
    for (const verb of ["up", "down", "warm"]) {
      const { code, stderr } = await typed([verb], { text });
      const [message, hint = ""] = stderr.split("\n");
      assertEquals([code, message], [2, `which server? ${FOSTER_JSON} defines no servers`]);
      assert(hint.includes("demo, everything, godot-ai"), hint);
    }
  });
}

Deno.test("a foster.jsonc beside a foster.json is not read, and that is said once", async () => {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  const second = FOSTER_JSON.replace(/json$/, "jsonc");
  host.files.put(FOSTER_JSON, "{}");
  host.files.put(second, "{ broken");
  assertEquals(await runFoster(host, ["down", "demo", "everything", "--json", "--quiet"]), 0);
  assertEquals(host.terminal.errText, "");
  assertEquals(await runFoster(host, ["down", "demo", "everything", "--json"]), 0);
  assertEquals(host.terminal.errText, `${second} is not read: ${FOSTER_JSON} stands beside it\n`);
});

Deno.test("init --config writes nothing that would stand beside a file that goes first", async () => {
  const folder = "/home/user/.config/foster";
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  host.files.put(join(folder, "foster.json"), "{}");
  assertEquals(await runFoster(host, ["init", "--config", join(folder, "foster.jsonc")]), 2);
  assertEquals(host.terminal.errText, `${join(folder, "foster.json")} is there already\n`);
  assertEquals(await runFoster(host, ["init", "--config", join(folder, "other.jsonc")]), 0);
});

for (const file of ["/home/user/.config/foster/foster.jsonc", "/home/user/other.json"]) {
  Deno.test(`init --config writes ${file} with the schema beside it, and overwrites nothing`, async () => {
    const { code, host } = await typed(["init", "--config", file], { text: "{}" });
    assertEquals(code, 0);
    const paths = host.files.paths();
    assert(
      paths.includes(file) && paths.includes(join(dirname(file), "foster.schema.json")),
      paths.join("\n"),
    );
    assertEquals(await runFoster(host, ["init", "--config", file]), 2);
    assert(host.terminal.errText.includes(`${file} is there already`), host.terminal.errText);
    assertEquals(await runFoster(host, ["status", "example", "--config", file, "--json"]), 1);
  });
}

const LABELLED = `{"servers": {
  "a": {"command": "no-such-program-a", "port": 4101, "labels": ["web", "slow"]},
  "b": {"command": "no-such-program-b", "port": 4102, "labels": ["db"]},
  "c": {"command": "no-such-program-c", "port": 4103}
}}`;

Deno.test("--label selects the servers with one of the labels, and shows them", async () => {
  const namesIn = (stdout: string) => {
    const { servers } = JSON.parse(stdout) as { servers: { name: string; labels?: string[] }[] };
    return servers.map(({ name }) => name);
  };
  for (const verb of ["down", "status"]) {
    const one = await typed([verb, "--label", "web", "--json"], { text: LABELLED });
    assertEquals(namesIn(one.stdout), ["a"], one.stderr);
    const two = await typed([verb, "--label", "db", "--label=slow", "--json"], { text: LABELLED });
    assertEquals(namesIn(two.stdout), ["a", "b"]);
  }
  for (const verb of ["up", "down", "status"]) {
    const none = await typed([verb, "--label", "nothing"], { text: LABELLED });
    assertEquals(none.code, 2);
    assertEquals(
      none.stderr,
      `no server of ${FOSTER_JSON} has the label "nothing"\n  labels there: web, slow, db\n`,
    );
    const both = await typed([verb, "a", "--label", "web"], { text: LABELLED });
    assertEquals([both.code, both.stderr.split("\n")[0]], [2, "either names or --label"]);
  }
  const { stdout } = await typed(["status", "a"], { text: LABELLED });
  assert(/labels +web, slow/.test(stdout), stdout);
});

Deno.test("verbs without a name follow a .mcp.json of foster's own entries to the user's definitions, or say where they are", async () => {
  const own = "/home/user/.config/foster/foster.jsonc";
  const entry = (config: string) =>
    `{"command": "/opt/foster", "args": ["connect", "a", "--config", "${config}"]}`;
  const run = async (config: string, argv = ["down", "--json", "--quiet"]) => {
    const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
    host.files.put(own, LABELLED);
    host.files.put("/home/user/.mcp.json", `{"mcpServers": {"a": ${entry(config)}}}`);
    const code = await runFoster(host, argv);
    return { code, out: host.terminal.outText, err: host.terminal.errText };
  };
  const followed = await run(own);
  assertEquals(followed.code, 0, followed.err);
  assertEquals(JSON.parse(followed.out).servers.map(({ name }: { name: string }) => name), ["a"]);
  const attached = await run(own, ["attach", "cursor", "--dry-run", "--json"]);
  assertEquals(attached.code, 0, attached.out + attached.err);
  assertEquals([attached.code, JSON.parse(attached.out).clients[0].entries[0].name], [0, "a"], attached.err);
  const other = await run("/elsewhere/foster.json");
  assertEquals(other.code, 2);
  assert(other.err.includes("run foster itself, for servers of /elsewhere/foster.json"), other.err);
});

const TALKS = projectKey("talks", "/elsewhere/foster.json");
const ENROLLED = JSON.stringify({
  schema: 1,
  stay: false,
  port: 21000,
  gateway: null,
  files: [{
    path: "/elsewhere/foster.json",
    sha256: null,
    servers: [{ name: "talks", key: TALKS, by: "up" }],
  }],
});

Deno.test("a name of a server without a record is found by what is enrolled, and by the folder that is left of it", async () => {
  const host = () => {
    const made = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
    made.files.put(join(STATE, "enrolled.json"), ENROLLED);
    made.files.put("/elsewhere/foster.json", `{"servers": {"talks": {"command": "/no-such-program"}}}`);
    made.files.put(join(STATE, "servers/old-one-89abcdef/server.log"), "it said this\n");
    return made;
  };
  const run = async (...argv: string[]) => {
    const made = host();
    const code = await runFoster(made, argv);
    return { code, out: made.terminal.outText, err: made.terminal.errText };
  };
  for (const name of ["talks", TALKS]) {
    const { code, out, err } = await run("status", name, "--json");
    const [row] = JSON.parse(out).servers;
    assertEquals([code, row.name, row.key, row.on_demand], [0, "talks", TALKS, true], err);
    assertEquals((await run("down", name)).out, "✓ talks  stopped\n  it was not running\n");
  }
  assertEquals((await run("status", "--json")).code, 0);
  for (const name of ["Old One", "old-one-89abcdef"]) {
    assertEquals((await run("logs", name)).out, "it said this\n");
    assertEquals((await run("down", name)).code, 0);
  }
  assertEquals((await run("logs", "old")).code, 2);
});

Deno.test("status of several names shows those it knows, and says what it does not know of the others", async () => {
  const { code, stdout } = await typed(["status", "nothing", "a", "--json"], { text: LABELLED });
  const rows = JSON.parse(stdout).servers as { name: string; state: string; message: string }[];
  assertEquals(rows.map(({ name, state }) => [name, state]), [["nothing", "uninitialized"], [
    "a",
    "stopped",
  ]]);
  assert(rows[0]?.message.startsWith('"nothing" is no server, no preset and no key'), stdout);
  assertEquals(code, 2);
  const other = await typed(["status", "a", "nothing"], { text: LABELLED });
  assertEquals(other.code, 1, "the first failure's");
});

Deno.test("options for a port are refused for a server that speaks stdio", async () => {
  const text = `{"servers": {"talks": {"command": "talker"}}}`;
  for (const option of ["--port=4100", "--port=auto", "--version=2"]) {
    const { code, stderr } = await typed(["up", "talks", option], { text });
    assertEquals(code, 2);
    assert(stderr.includes("is for servers that listen"), stderr);
  }
});
