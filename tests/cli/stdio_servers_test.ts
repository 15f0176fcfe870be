import { assert, assertEquals } from "@std/assert";
import { STATE, typed } from "./command_line.ts";

const ST = { command: "sh", transport: "stdio" };
const ONLY = JSON.stringify({ servers: { st: ST } });
const MIXED = JSON.stringify({ servers: { st: ST, web: { command: "missing", port: 3001 } } });
const NOTE = '"st" speaks stdio: a client starts it through foster connect "st"\n';

for (
  const argv of [
    ["up", "st"],
    ["up", "web", "st"],
    ["restart", "st"],
    ["restart", "st", "--force"],
    ["recover", "st"],
    ["handoff", "st"],
    ["handoff", "st", "--up"],
    ["run", "st"],
  ]
) {
  Deno.test(`foster ${argv.join(" ")} refuses what speaks stdio, and leaves nothing behind`, async () => {
    const { code, stdout, stderr, host } = await typed(argv, { text: MIXED });
    assertEquals([code, stdout], [2, ""]);
    assertEquals(stderr, '"st" speaks stdio: it lives as long as its client\n  foster connect "st"\n');
    assertEquals(host.files.paths().filter((path) => path.startsWith(STATE)), []);
  });
}

Deno.test("probe of what speaks stdio is wrong usage", async () => {
  const { code, stderr } = await typed(["probe", "st"], { text: MIXED });
  assertEquals([code, stderr.split("\n")[0]], [2, '"st" speaks stdio: it has no endpoint to probe']);
});

Deno.test("status of what speaks stdio names connect and not up", async () => {
  const { code, stdout } = await typed(["status", "st"], { text: MIXED });
  assertEquals(code, 1);
  assert(stdout.includes("it speaks stdio"), stdout);
  assert(stdout.includes('foster connect "st" is for clients') && !stdout.includes("foster up"), stdout);
});

Deno.test("down of what speaks stdio has nothing to take away", async () => {
  const { code, stdout, stderr } = await typed(["down", "st"], { text: MIXED });
  assertEquals([code, stdout, stderr], [0, "✓ st  stopped\n  it was not running\n", ""]);
});

for (const [argv, expected] of [[["up"], 11], [["up", "--all"], 11], [["down"], 0]] as const) {
  Deno.test(`foster ${argv.join(" ")} passes over what speaks stdio and handles the others`, async () => {
    const { code, stdout, stderr } = await typed([...argv, "--json"], { text: MIXED });
    const { servers } = JSON.parse(stdout);
    assertEquals([code, servers.map(({ name }: { name: string }) => name)], [expected, ["web"]]);
    assertEquals(stderr, NOTE);
    assertEquals((await typed([...argv, "--json", "--quiet"], { text: MIXED })).stderr, "");
  });
}

Deno.test("up of a file in which all speak stdio stays wrong usage, down says why it does nothing", async () => {
  const up = await typed(["up"], { text: ONLY });
  assertEquals([up.code, up.stderr.split(":")[0]], [2, '"st" speaks stdio']);
  const down = await typed(["down", "--json"], { text: ONLY });
  assertEquals([down.code, JSON.parse(down.stdout), down.stderr], [0, { servers: [] }, NOTE]);
});

Deno.test("status without a name passes over what speaks stdio where there is anything else", async () => {
  const mixed = await typed(["status", "--json"], { text: MIXED });
  const names = JSON.parse(mixed.stdout).servers.map(({ name }: { name: string }) => name);
  assertEquals([names, mixed.stderr], [["web"], NOTE]);
  const only = await typed(["status", "--json"], { text: ONLY });
  assertEquals([JSON.parse(only.stdout).servers[0].name, only.stderr], ["st", ""]);
});
