import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHelperReader } from "../../src/host/system/darwin/helpers.ts";
import { createDarwinReader } from "../../src/host/system/darwin/reader.ts";
import {
  countListening,
  decideSeen,
  foundNothing,
  parseCpuTime,
  parseLsofListeners,
  parsePaths,
  parseProcessTable,
  parseUsage,
  splitArguments,
} from "../../src/host/system/darwin/parse.ts";
import { HostError, type RunOptions, type RunResult } from "../../src/host/host.ts";
import type { ReaderTools } from "../../src/host/system/reader.ts";

function recorded(name: string): string {
  return Deno.readTextFileSync(new URL(`../recorded/darwin/${name}`, import.meta.url));
}

/** foster itself, in the recordings. */
const SELF = 412;

function ended(code: number | null, texts: { stdout?: string; stderr?: string } = {}): RunResult {
  return { code, signal: code === null ? "SIGKILL" : null, stdout: "", stderr: "", ...texts };
}

// ------------------------------------------------------------------------------------------------------ processes

Deno.test("parseProcessTable() reads every row of ps", () => {
  const { rows, complete } = parseProcessTable(recorded("ps_identity.txt"));
  assert(complete);
  assertEquals([...rows.values()], [
    { pid: 1, startTime: "ps:Fri Nov 6 08:12:44 2026", parentPid: 0, groupId: 1, zombie: false },
    { pid: 412, startTime: "ps:Fri Nov 20 19:07:01 2026", parentPid: 1, groupId: 412, zombie: false },
    { pid: 5310, startTime: "ps:Fri Nov 20 19:07:02 2026", parentPid: 412, groupId: 412, zombie: false },
    { pid: 5388, startTime: "ps:Fri Nov 20 19:07:02 2026", parentPid: 412, groupId: 412, zombie: false },
    { pid: 48211, startTime: "ps:Thu Jan 1 00:00:00 2026", parentPid: 1, groupId: 48211, zombie: false },
  ]);
});

Deno.test("parseProcessTable() gives the same identities when lines end with CRLF", () => {
  const text = recorded("ps_identity.txt");
  assertEquals(parseProcessTable(text.replaceAll("\n", "\r\n")), parseProcessTable(text));
});

Deno.test("parseProcessTable() tells zombies from processes that are about to exit", () => {
  const { rows } = parseProcessTable(recorded("ps_identity_zombie.txt"));
  assertEquals([...rows.values()].map(({ pid, zombie }) => [pid, zombie]), [
    [5310, true],
    [5311, true],
    [5312, false],
  ]);
});

Deno.test("parseProcessTable() accepts a zombie without a start time", () => {
  const { rows, complete } = parseProcessTable(" 5310   412   412 Z    -\n");
  assert(complete);
  assertEquals(rows.get(5310)?.zombie, true);
});

const ODD_TABLES: { what: string; text: string; pids: number[] }[] = [
  { what: "of another locale", text: recorded("ps_identity_de.txt"), pids: [] },
  { what: "with a heading", text: recorded("ps_identity_header.txt"), pids: [412] },
  { what: "that breaks off", text: recorded("ps_identity_cut.txt"), pids: [412] },
  { what: "that is an error", text: recorded("ps_stderr_illegal.txt"), pids: [] },
  {
    what: "whose last line has no end",
    text: recorded("ps_identity.txt").trimEnd(),
    pids: [1, 412, 5310, 5388, 48211],
  },
  { what: "with a pid that is no number", text: "4l2 1 412 S Fri Nov 20 19:07:01 2026\n", pids: [] },
];
for (const { what, text, pids } of ODD_TABLES) {
  Deno.test(`parseProcessTable() does not call a table complete ${what}`, () => {
    const { rows, complete } = parseProcessTable(text);
    assertEquals([...rows.keys()], pids);
    assertEquals(complete, false);
  });
}

Deno.test("decideSeen() sees those in the table and calls the others gone", () => {
  const seen = decideSeen([412, 99_999], ended(0, { stdout: recorded("ps_identity.txt") }), SELF);
  assertEquals(seen.get(412)?.kind, "seen");
  assertEquals(seen.get(99_999), { kind: "gone" });
});

const MISSING: { what: string; result: RunResult; kind: "gone" | "unknown" }[] = [
  { what: "does not know when ps is silent and ends with 1", result: ended(1), kind: "unknown" },
  {
    what: "does not know when ps shows others, but not foster itself",
    result: ended(1, { stdout: "    1     0     1 Ss   Fri Nov  6 08:12:44 2026    \n" }),
    kind: "unknown",
  },
  {
    what: "calls a pid gone when ps ends with 1 and shows foster itself",
    result: ended(1, { stdout: recorded("ps_identity.txt") }),
    kind: "gone",
  },
  { what: "does not know when ps is silent and ends with 0", result: ended(0), kind: "unknown" },
  { what: "does not know when ps was killed", result: ended(null), kind: "unknown" },
  {
    what: "does not know when ps complains",
    result: ended(1, { stderr: recorded("ps_stderr_illegal.txt") }),
    kind: "unknown",
  },
  {
    what: "does not know when ps may not run",
    result: ended(126, { stderr: "Operation not permitted\n" }),
    kind: "unknown",
  },
  {
    what: "does not know when the table breaks off",
    result: ended(0, { stdout: recorded("ps_identity_cut.txt") }),
    kind: "unknown",
  },
  {
    what: "does not know when the table is of another locale",
    result: ended(0, { stdout: recorded("ps_identity_de.txt") }),
    kind: "unknown",
  },
];
for (const { what, result, kind } of MISSING) {
  Deno.test(`decideSeen() ${what}`, () =>
    assertEquals(decideSeen([77_777], result, SELF).get(77_777)?.kind, kind));
}

Deno.test("splitArguments() splits at blanks", () => {
  assertEquals(splitArguments(recorded("ps_args.txt"), recorded("ps_comm.txt")), [
    "/opt/homebrew/bin/node",
    "/Users/mia/docs/server.js",
    "--port",
    "3001",
    "--transport",
    "streamable-http",
  ]);
});

Deno.test("splitArguments() keeps blanks in the first argument when its own text is known", () => {
  const args = splitArguments(recorded("ps_args_blank.txt"), recorded("ps_comm_blank.txt"));
  assertEquals(args?.slice(0, 4), [
    "/Users/mia/Library/Application Support/uv/tools/docs/bin/python",
    "-m",
    "docs",
    "--pid-file",
  ]);
});

Deno.test("splitArguments() splits everything when the first argument's own text belongs to another program", () => {
  assertEquals(splitArguments("/usr/bin/python3 -m docs\n", "/usr/bin/py\n"), [
    "/usr/bin/python3",
    "-m",
    "docs",
  ]);
});

for (const text of ["", "\n", recorded("ps_args_unreadable.txt"), recorded("ps_args_defunct.txt")]) {
  Deno.test(`splitArguments() knows no arguments when ps prints ${JSON.stringify(text)}`, () => {
    assertEquals(splitArguments(text, ""), null);
  });
}

const CPU_TIMES: [string, number | null][] = [
  ["0:03.27", 3270],
  ["0:03,27", 3270],
  ["123:45.67", 7_425_670],
  ["00:00:04", 4000],
  ["01:02:03", 3_723_000],
  ["2-03:04:05", 183_845_000],
  ["1-00:00:00.50", 86_400_500],
  ["  0:00.00", 0],
  ["", null],
  ["-", null],
  ["3.27", null],
  ["0:3.27", null],
];
for (const [text, expected] of CPU_TIMES) {
  Deno.test(`parseCpuTime() reads ${JSON.stringify(text)} as ${expected} ms`, () => {
    assertEquals(parseCpuTime(text), expected);
  });
}

Deno.test("parseUsage() reads memory and CPU time", () => {
  assertEquals([...parseUsage(recorded("ps_usage.txt"))], [
    [1, { residentBytes: 21_504 * 1024, cpuMs: 7_425_670 }],
    [412, { residentBytes: 58_368 * 1024, cpuMs: 3270 }],
    [48_211, { residentBytes: 1_183_744 * 1024, cpuMs: 60_000 }],
  ]);
  assertEquals(parseUsage(recorded("ps_usage_comma.txt")).get(412)?.cpuMs, 3270);
  assertEquals(parseUsage(recorded("ps_stderr_illegal.txt")).size, 0);
});

// ----------------------------------------------------------------------------------------------------------- lsof

Deno.test("parsePaths() takes the working folder and the first mapped file", () => {
  assertEquals(parsePaths(recorded("lsof_paths.txt"), 412), {
    executable: "/opt/homebrew/Cellar/node/24.1.0/bin/node",
    cwd: "/Users/mia/docs",
  });
});

Deno.test("parsePaths() undoes the escapes of paths that are not ASCII", () => {
  assertEquals(parsePaths(recorded("lsof_paths_escaped.txt"), 412).cwd, "/Users/mia/Dokumente/Bücher 代码");
});

for (
  const [what, text, pid] of [
    ["for another process", recorded("lsof_paths.txt"), 413],
    ["when lsof may not look", recorded("lsof_paths_denied.txt"), 412],
    ["when lsof prints nothing", "", 412],
    ["when lsof complains", recorded("lsof_stderr_usage.txt"), 412],
  ] as const
) {
  Deno.test(`parsePaths() knows nothing ${what}`, () => {
    assertEquals(parsePaths(text, pid), { executable: null, cwd: null });
  });
}

Deno.test("parseLsofListeners() reads IPv4 and IPv6 and all processes of a socket", () => {
  assertEquals(parseLsofListeners(recorded("lsof_listen.txt"), 3001), [
    { pid: 412, address: "127.0.0.1" },
    { pid: 412, address: "::1" },
    { pid: 5310, address: "127.0.0.1" },
  ]);
});

Deno.test("parseLsofListeners() names a wildcard listener once", () => {
  assertEquals(parseLsofListeners(recorded("lsof_listen_wildcard.txt"), 5000), [{ pid: 687, address: "*" }]);
});

Deno.test("parseLsofListeners() tells the families of wildcard listeners apart where lsof does", () => {
  const text = "p687\nf9\ntIPv4\nn*:5000\nf10\ntIPv6\nn*:5000\nf11\ntIPv6\nn[::1]:5000\n";
  assertEquals(parseLsofListeners(text, 5000), [
    { pid: 687, address: "0.0.0.0" },
    { pid: 687, address: "::" },
    { pid: 687, address: "::1" },
  ]);
});

Deno.test("parseLsofListeners() needs no descriptor lines", () => {
  const text = recorded("lsof_listen_4.99_without_descriptors.txt");
  assertEquals(parseLsofListeners(text, 3001), [{ pid: 412, address: "127.0.0.1" }]);
});

for (const port of [300, 30_010, 1, 13_001]) {
  Deno.test(`parseLsofListeners() does not take 3001 for ${port}`, () => {
    assertEquals(parseLsofListeners(recorded("lsof_listen.txt"), port), []);
  });
}

const NOTHING: { what: string; result: RunResult; expected: boolean }[] = [
  { what: "silence with code 1", result: ended(1), expected: true },
  {
    what: "warnings with code 1",
    result: ended(1, { stderr: recorded("lsof_stderr_warning.txt") }),
    expected: true,
  },
  { what: "a complaint", result: ended(1, { stderr: recorded("lsof_stderr_usage.txt") }), expected: false },
  { what: "any output", result: ended(0, { stdout: recorded("lsof_listen.txt") }), expected: false },
  { what: "an lsof that was killed", result: ended(null), expected: false },
];
for (const { what, result, expected } of NOTHING) {
  Deno.test(`foundNothing() says ${expected} for ${what}`, () =>
    assertEquals(foundNothing(result), expected));
}

Deno.test("countListening() counts the listening sockets of exactly one port", () => {
  const text = recorded("netstat.txt");
  assertEquals(countListening(text, 5000), 3);
  assertEquals(countListening(text, 15_000), 1);
  assertEquals(countListening(text, 500), 0);
  assertEquals(countListening(text, 52_101), 0);
  assertEquals(countListening("", 5000), null);
  assertEquals(countListening("netstat: sysctl: Operation not permitted\n", 5000), null);
});

// ----------------------------------------------------------------------------------------- the reader on recordings

type Answer = RunResult | HostError;

/** Tools that answer each program from a recording, and keep what was asked. */
function replay(answers: Record<string, Answer | ((args: readonly string[]) => Answer)>): {
  tools: ReaderTools;
  asked: { command: string; args: readonly string[]; options: RunOptions }[];
} {
  const asked: { command: string; args: readonly string[]; options: RunOptions }[] = [];
  const tools: ReaderTools = {
    run: (command, args, options) => {
      asked.push({ command, args, options });
      const known = answers[command] ?? new HostError("not_found", `${command} is not there`);
      const answer = typeof known === "function" ? known(args) : known;
      return answer instanceof HostError ? Promise.reject(answer) : Promise.resolve(answer);
    },
    env: () => undefined,
    selfPid: SELF,
    ffi: null,
    arch: "arm64",
    monotonic: () => 0,
    direct: null,
  };
  return { tools, asked };
}

Deno.test("inspect() asks about all pids at once", async () => {
  const { tools, asked } = replay({ ps: ended(0, { stdout: recorded("ps_identity.txt") }) });
  const seen = await createHelperReader(tools).inspect([412, 5310, 412, 77_777, 0, -5]);
  assertEquals([...seen].map(([pid, { kind }]) => [pid, kind]), [
    [412, "seen"],
    [5310, "seen"],
    [77_777, "gone"],
    [0, "gone"],
    [-5, "gone"],
  ]);
  assertEquals(asked.length, 1);
  assertEquals(asked[0]?.args.slice(-2), ["-p", "412,5310,77777"]);
  await createHelperReader(tools).inspect([5310]);
  assertEquals(asked[1]?.args.slice(-2), ["-p", "5310,412"], "foster itself is always among them");
});

Deno.test("inspect() asks nobody about no pids", async () => {
  const { tools, asked } = replay({});
  assertEquals((await createHelperReader(tools).inspect([])).size, 0);
  assertEquals(asked, []);
});

Deno.test("inspect() does not know when ps can't be run", async () => {
  const { tools } = replay({ ps: new HostError("timeout", "ps did not end within 5 s") });
  assertEquals((await createHelperReader(tools).inspect([412])).get(412), {
    kind: "unknown",
    why: "ps could not be run: ps did not end within 5 s",
  });
});

for (
  const [what, answer] of [
    ["ps fails", ended(1, { stderr: recorded("ps_stderr_illegal.txt") })],
    ["the table breaks off", ended(0, { stdout: recorded("ps_identity_cut.txt") })],
    ["ps is missing", new HostError("not_found", "ps is not there")],
    ["ps prints nothing", ended(0)],
    [
      "ps does not show foster itself",
      ended(0, { stdout: recorded("ps_identity.txt").replaceAll("  412 ", "  413 ") }),
    ],
  ] as const
) {
  Deno.test(`list() throws when ${what}`, async () => {
    await assertRejects(() => createHelperReader(replay({ ps: answer }).tools).list(), HostError);
  });
}

Deno.test("paths() falls back to what the program was called by", async () => {
  const ps = ended(0, { stdout: recorded("ps_comm_blank.txt") });
  const { tools } = replay({ lsof: ended(1), ps });
  assertEquals(await createHelperReader(tools).paths(412), {
    executable: "/Users/mia/Library/Application Support/uv/tools/docs/bin/python",
    cwd: null,
  });
  const login = replay({ lsof: ended(1), ps: ended(0, { stdout: "-zsh\n" }) });
  assertEquals(await createHelperReader(login.tools).paths(412), { executable: null, cwd: null });
});

Deno.test("listeners() counts sockets that lsof may not see", async () => {
  const { tools } = replay({ lsof: ended(1), netstat: ended(0, { stdout: recorded("netstat.txt") }) });
  assertEquals(await createHelperReader(tools).listeners(5000), { kind: "known", listeners: [], unnamed: 3 });
  assertEquals(await createHelperReader(tools).listeners(5001), { kind: "known", listeners: [], unnamed: 0 });
});

Deno.test("listeners() asks only lsof when that finds somebody", async () => {
  const { tools, asked } = replay({ lsof: ended(0, { stdout: recorded("lsof_listen_wildcard.txt") }) });
  assertEquals(await createHelperReader(tools).listeners(5000), {
    kind: "known",
    listeners: [{ pid: 687, address: "*" }],
    unnamed: 0,
  });
  assertEquals(asked.map(({ command }) => command), ["lsof"]);
});

Deno.test("listeners() does not know when lsof is missing or complains", async () => {
  assertEquals((await createHelperReader(replay({}).tools).listeners(5000)).kind, "unknown");
  const complaining = replay({ lsof: ended(1, { stderr: recorded("lsof_stderr_usage.txt") }) });
  assertEquals((await createHelperReader(complaining.tools).listeners(5000)).kind, "unknown");
});

Deno.test("listeners() does not know when lsof is silent and netstat shows no table", async () => {
  for (const lsof of [ended(0), ended(1)]) {
    const netstats = [
      ended(0),
      ended(1),
      ended(0, { stdout: "\n" }),
      new HostError("not_found", "no netstat"),
    ];
    for (const netstat of netstats) {
      const { tools } = replay({ lsof, netstat });
      assertEquals((await createHelperReader(tools).listeners(5000)).kind, "unknown");
    }
  }
});

Deno.test("the macOS reader without calls asks helpers, and knows no environments and no reserved ports", async () => {
  const { tools, asked } = replay({ ps: ended(0, { stdout: recorded("ps_identity.txt") }) });
  const own = () => {
    throw new Error("nothing is to be checked");
  };
  const reader = createDarwinReader({ tools, own, kill: () => Promise.resolve("sent") });
  assertEquals(await reader.carrying("FOSTER_TOKEN=1", [412]), []);
  assertEquals(await reader.carryingPrefix("FOSTER_TOKEN="), []);
  assertEquals(await reader.reservedRanges(), []);
  assertEquals(await reader.watchExit(412, "ps:Fri Nov 20 19:07:01 2026"), null);
  assertEquals(asked, []);
  assertEquals((await reader.inspect([412])).get(412)?.kind, "seen");
  assertEquals(await reader.signal(412, "SIGTERM", "ps:Fri Nov 20 19:07:01 2026"), "sent");
});

// ------------------------------------------------------------------------- the reader on this system's own programs

async function runHere(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const child = new Deno.Command(command, {
    args: [...args],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", LC_ALL: "C", TZ: "UTC", ...options.env },
    stdin: "null",
  });
  let output: Deno.CommandOutput;
  try {
    output = await child.output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new HostError("not_found", `${command} is not there`);
    throw error;
  }
  const decoder = new TextDecoder();
  return {
    code: output.signal === null ? output.code : null,
    signal: output.signal,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}

const here = createHelperReader({
  run: runHere,
  env: (name) => Deno.env.get(name),
  selfPid: Deno.pid,
  ffi: null,
  arch: "arm64",
  monotonic: () => performance.now(),
  direct: null,
});
const ignore = Deno.build.os === "windows";

/** Starts a process that waits for the end of its input, and ends it after `use`. */
async function withChild(use: (child: Deno.ChildProcess) => Promise<void>): Promise<void> {
  const child = new Deno.Command("cat", { stdin: "piped", stdout: "null", stderr: "null" }).spawn();
  try {
    await use(child);
  } finally {
    await child.stdin.close().catch(() => {});
    await child.status;
  }
}

Deno.test({ name: "inspect() and list() see a real child and itself", ignore }, async () => {
  await withChild(async (child) => {
    const seen = await here.inspect([child.pid, Deno.pid]);
    const facts = seen.get(child.pid);
    assert(facts?.kind === "seen");
    assertEquals(facts.facts.parentPid, Deno.pid);
    assertMatch(facts.facts.startTime, /^ps:[A-Z][a-z]{2} [A-Z][a-z]{2} \d+ \d\d:\d\d:\d\d \d{4}$/);
    assertEquals(seen.get(Deno.pid)?.kind, "seen");
    assert((await here.list()).some(({ pid }) => pid === child.pid));
  });
});

Deno.test({ name: "argv() and usage() read a real child", ignore }, async () => {
  await withChild(async (child) => {
    const argv = await here.argv(child.pid);
    assertMatch(argv?.join(" ") ?? "", /^(?:\S*\/)?cat$/);
    const usage = (await here.usage([child.pid])).get(child.pid);
    assert(usage !== undefined && usage.residentBytes > 0 && usage.cpuMs >= 0);
  });
});

const noLsof = ignore || await runHere("lsof", ["-v"], { timeoutMs: 5000 }).then(() => false, () => true);

Deno.test({ name: "paths() and listeners() read this process through lsof", ignore: noLsof }, async () => {
  const { executable, cwd } = await here.paths(Deno.pid);
  assertEquals(executable, await Deno.realPath(Deno.execPath()));
  assertEquals(cwd, Deno.cwd());
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  assertEquals(await here.listeners(port), {
    kind: "known",
    listeners: [{ pid: Deno.pid, address: "127.0.0.1" }],
    unnamed: 0,
  });
  listener.close();
  assertEquals(await here.listeners(port), { kind: "known", listeners: [], unnamed: 0 });
});
