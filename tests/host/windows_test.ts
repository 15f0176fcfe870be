import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { HostError, type RunOptions, type RunResult, type Signal } from "../../src/host/host.ts";
import type { ReaderTools } from "../../src/host/system/reader.ts";
import { createHelperReader } from "../../src/host/system/windows/helpers.ts";
import { splitCommandLine } from "../../src/host/system/windows/argv.ts";
import {
  decideTaskkill,
  isTrueTree,
  linkParents,
  LISTENERS_END,
  parseCimProcesses,
  parseCreation,
  parseListenerLines,
  parseNetstat,
  parseReservedRanges,
  taskkillArguments,
  tasklistDenies,
  usageOf,
} from "../../src/host/system/windows/parse.ts";
import {
  commandScript,
  identityScript,
  listenersScript,
  powerShellArguments,
  powerShells,
  usageScript,
} from "../../src/host/system/windows/scripts.ts";

function recorded(name: string): string {
  return Deno.readTextFileSync(new URL(`../recorded/windows/${name}`, import.meta.url));
}

function ended(code: number, texts: { stdout?: string; stderr?: string } = {}): RunResult {
  return { code, signal: null, stdout: "", stderr: "", ...texts };
}

// ---------------------------------------------------------------------------------------------------- command lines

const COMMAND_LINES: [string, string[]][] = [
  [String.raw`python.exe -m docs`, ["python.exe", "-m", "docs"]],
  [String.raw`"C:\Program Files\x.exe" a b`, [String.raw`C:\Program Files\x.exe`, "a", "b"]],
  [String.raw`C:\x\y.exe\ "a b"`, [String.raw`C:\x\y.exe` + "\\", "a b"]],
  ["x.exe  \t a \t", ["x.exe", "a"]],
  [String.raw`x.exe ""`, ["x.exe", ""]],
  [String.raw`x.exe a""b`, ["x.exe", "ab"]],
  [String.raw`x.exe "a b" c d`, ["x.exe", "a b", "c", "d"]],
  [String.raw`x.exe "ab\"c" "\\" d`, ["x.exe", 'ab"c', "\\", "d"]],
  [String.raw`x.exe a\\\b d"e f"g h`, ["x.exe", String.raw`a\\\b`, "de fg", "h"]],
  [String.raw`x.exe a\\\"b c d`, ["x.exe", String.raw`a\"b`, "c", "d"]],
  [String.raw`x.exe a\\\\"b c" d e`, ["x.exe", String.raw`a\\b c`, "d", "e"]],
  [String.raw`x.exe "C:\dir with blank\\" z`, ["x.exe", "C:\\dir with blank\\", "z"]],
  [String.raw`x.exe """a b"""`, ["x.exe", '"a', 'b"']],
  [String.raw`x.exe "a""b c"`, ["x.exe", 'a"b', "c"]],
  [String.raw`x.exe """"`, ["x.exe", '"']],
  [String.raw`x.exe "a b`, ["x.exe", "a b"]],
  [String.raw`"x.exe"a b`, ["x.exe", "a", "b"]],
  [String.raw`"x.exe`, ["x.exe"]],
  [String.raw`" x".exe a`, [" x", ".exe", "a"]],
  [" x.exe a", ["", "x.exe", "a"]],
  ["", []],
  [
    String
      .raw`"C:\py\python.exe" "-c" "from multiprocessing.spawn import spawn_main; spawn_main(parent_pid=1, pipe_handle=2)"`,
    [
      String.raw`C:\py\python.exe`,
      "-c",
      "from multiprocessing.spawn import spawn_main; spawn_main(parent_pid=1, pipe_handle=2)",
    ],
  ],
];
for (const [commandLine, expected] of COMMAND_LINES) {
  Deno.test(`splitCommandLine() splits ${JSON.stringify(commandLine)}`, () => {
    assertEquals(splitCommandLine(commandLine), expected);
  });
}

// -------------------------------------------------------------------------------------------------------------- CIM

const CREATIONS: [unknown, string | null][] = [
  ["2026-11-20T19:07:01.1234560Z", "2026-11-20T19:07:01.123Z"],
  ["2026-11-20T20:07:01.123456+01:00", "2026-11-20T19:07:01.123Z"],
  ["2026-11-20T14:07:01.1239999-05:00", "2026-11-20T19:07:01.123Z"],
  ["2026-11-20T19:07:01Z", "2026-11-20T19:07:01.000Z"],
  ["2026-11-20T19:07:01.5Z", "2026-11-20T19:07:01.500Z"],
  ["/Date(1795201621123)/", "2026-11-20T19:07:01.123Z"],
  ["/Date(1795201621123+0100)/", "2026-11-20T19:07:01.123Z"],
  [
    { value: "/Date(1795201621123)/", DisplayHint: 2, DateTime: "Friday, November 20, 2026 7:07:01 PM" },
    "2026-11-20T19:07:01.123Z",
  ],
  ["20261120200701.123456+060", "2026-11-20T19:07:01.123Z"],
  ["20261120140701.123456-300", "2026-11-20T19:07:01.123Z"],
  ["20.11.2026 20:07:01", null],
  ["2026-13-40T99:07:01Z", null],
  ["/Date(x)/", null],
  ["", null],
  [null, null],
  [1795201621123, null],
];
for (const [value, expected] of CREATIONS) {
  Deno.test(`parseCreation() reads ${JSON.stringify(value)} as ${expected}`, () => {
    assertEquals(parseCreation(value), expected);
  });
}

Deno.test("parseCimProcesses() gives one identity whatever the PowerShell and the shape of its JSON", () => {
  const names = [
    "cim_identity_one.json",
    "cim_identity_wrapped.json",
    "cim_dates_ps51.json",
    "cim_dates_ps7.json",
  ];
  for (const name of names) {
    const processes = parseCimProcesses(recorded(name));
    assertEquals(processes?.map(({ pid, createdAt }) => [pid, createdAt]), [[
      15_344,
      "2026-11-20T19:07:01.123Z",
    ]], name);
  }
});

Deno.test("parseCimProcesses() reads a byte order mark and an empty array", () => {
  assertEquals(parseCimProcesses("\ufeff" + recorded("cim_identity_none.json")), []);
});

for (
  const [what, text] of [
    ["nothing", ""],
    ["a blank line", "\r\n"],
    ["half an array", recorded("cim_identity.json").slice(0, 120)],
    ["an error", recorded("stderr_cim_denied.txt")],
    ["rows without a pid", '[{"ParentProcessId":1}]'],
    ["a number", "7"],
  ] as const
) {
  Deno.test(`parseCimProcesses() can't read ${what}`, () => assertEquals(parseCimProcesses(text), null));
}

Deno.test("parseCimProcesses() reads command lines beyond ASCII", () => {
  const [process] = parseCimProcesses(recorded("cim_command.json")) ?? [];
  assertEquals(process?.executable, "C:\\Program Files\\Python312\\python.exe");
  assertEquals(splitCommandLine(process?.commandLine ?? ""), [
    "C:\\Program Files\\Python312\\python.exe",
    "-m",
    "docs",
    "--pid-file",
    "C:\\Users\\Jörg\\AppData\\Local\\foster\\servers\\docs\\server.pid",
    "--name",
    "'it'",
  ]);
});

Deno.test("usageOf() adds up kernel and user time", () => {
  assertEquals([...usageOf(parseCimProcesses(recorded("cim_usage.json")) ?? [])], [
    [15_344, { residentBytes: 59_768_832, cpuMs: 3281 }],
    [4, { residentBytes: 1_200_128, cpuMs: 19_988_468 }],
  ]);
  assertEquals(usageOf(parseCimProcesses(recorded("cim_identity.json")) ?? []).size, 0);
});

Deno.test("linkParents() trusts a parent that is older than its child", () => {
  const facts = linkParents(parseCimProcesses(recorded("cim_identity.json")) ?? []);
  assertEquals(facts.get(15_344), {
    pid: 15_344,
    startTime: "cim:2026-11-20T19:07:01.123Z",
    parentPid: 15_000,
    groupId: 0,
    zombie: false,
  });
});

Deno.test("linkParents() gives no parent when its pid went to a younger process", () => {
  const facts = linkParents(parseCimProcesses(recorded("cim_identity.json")) ?? []);
  assertEquals(facts.get(9012)?.parentPid, 0);
});

Deno.test("linkParents() gives no parent when that one is gone", () => {
  const facts = linkParents(parseCimProcesses(recorded("cim_list.json")) ?? []);
  assertEquals(facts.get(900)?.parentPid, 0);
});

Deno.test("linkParents() leaves out a process without a creation time", () => {
  const facts = linkParents(parseCimProcesses(recorded("cim_list.json")) ?? []);
  assertEquals([...facts.keys()], [4, 180, 900, 15_000, 15_344]);
});

// --------------------------------------------------------------------------------------------------------- tasklist

const TASKS: { text: string; denies: boolean; what: string }[] = [
  { what: "the English line for no such task", text: recorded("tasklist_none_en.txt"), denies: true },
  { what: "the German line", text: recorded("tasklist_none_de.txt"), denies: true },
  { what: "a table", text: recorded("tasklist.txt"), denies: false },
  { what: "a German table", text: recorded("tasklist_de.txt"), denies: false },
  {
    what: "a process with a comma in its name",
    text: '"a,b.exe","77","Console","1","1 K"\r\n',
    denies: false,
  },
  { what: "nothing at all", text: "", denies: false },
  { what: "an empty line", text: "\r\n", denies: false },
];
for (const { what, text, denies } of TASKS) {
  Deno.test(`tasklistDenies() says ${denies} for ${what}`, () => assertEquals(tasklistDenies(text), denies));
}

// ------------------------------------------------------------------------------------------------------- listeners

Deno.test("parseNetstat() names each listener of exactly the port once, in order", () => {
  assertEquals(parseNetstat(recorded("netstat_en.txt"), 8000), {
    listeners: [
      { pid: 15_344, address: "0.0.0.0" },
      { pid: 9012, address: "127.0.0.1" },
      { pid: 15_344, address: "127.0.0.1" },
    ],
    unnamed: 0,
    readable: true,
  });
});

Deno.test("parseNetstat() reads IPv6", () => {
  assertEquals(parseNetstat(recorded("netstat_v6_en.txt"), 8000).listeners, [
    { pid: 2020, address: "::" },
    { pid: 2020, address: "::1" },
  ]);
  assertEquals(parseNetstat(recorded("netstat_v6_en.txt"), 8001).listeners, [
    { pid: 2020, address: "fe80::9d1c:2ab5:9a0e:5f2c%12" },
  ]);
});

const NETSTAT_PORTS: [number, number[]][] = [
  [80, [4]],
  [800, []],
  [80_001, []],
  [18_000, [4444]],
  [53_211, []],
  [53_212, [7721]],
  [58_296, []],
];
for (const [port, pids] of NETSTAT_PORTS) {
  Deno.test(`parseNetstat() finds ${JSON.stringify(pids)} on port ${port}`, () => {
    assertEquals(parseNetstat(recorded("netstat_en.txt"), port).listeners.map(({ pid }) => pid), pids);
  });
}

Deno.test("parseNetstat() counts a listening socket without a process", () => {
  assertEquals(parseNetstat(recorded("netstat_en.txt"), 9500), { listeners: [], unnamed: 1, readable: true });
});

for (
  const name of ["netstat_de.txt", "netstat_de_undecoded.txt", "netstat_fr.txt", "stderr_cim_denied.txt"]
) {
  Deno.test(`parseNetstat() calls ${name} not readable`, () => {
    assertEquals(parseNetstat(recorded(name), 8000), { listeners: [], unnamed: 0, readable: false });
  });
}

Deno.test("parseNetstat() reads the same when lines end without a carriage return", () => {
  const text = recorded("netstat_en.txt");
  assertEquals(parseNetstat(text.replaceAll("\r", ""), 8000), parseNetstat(text, 8000));
});

Deno.test("parseListenerLines() takes pids above 0 once for each address and passes over other lines", () => {
  const ending = `\r\n${LISTENERS_END}\r\n`;
  assertEquals(parseListenerLines(recorded("get_nettcpconnection.txt") + ending), [
    { pid: 19_004, address: "127.0.0.1" },
    { pid: 19_004, address: "::1" },
    { pid: 4, address: "::" },
  ]);
  assertEquals(parseListenerLines(recorded("get_nettcpconnection_pids.txt") + ending), [
    { pid: 19_004, address: "" },
    { pid: 1832, address: "" },
  ]);
  assertEquals(parseListenerLines(recorded("stderr_get_nettcpconnection.txt") + ending), []);
  assertEquals(parseListenerLines("-5\r\n\r\n12x" + ending), []);
});

Deno.test("parseListenerLines() does not know without the line that ends the answer", () => {
  for (const text of ["", "\r\n", recorded("get_nettcpconnection.txt"), `${LISTENERS_END} x`]) {
    assertEquals(parseListenerLines(text), null);
  }
});

// ----------------------------------------------------------------------------------------------------- reservations

Deno.test("parseReservedRanges() reads ranges in any language", () => {
  assertEquals(parseReservedRanges(recorded("netsh_en.txt")), [
    [80, 80],
    [5357, 5357],
    [8000, 8099],
    [9491, 9590],
    [50_000, 50_059],
  ]);
  assertEquals(parseReservedRanges(recorded("netsh_es.txt")), [[5357, 5357], [8054, 8153], [50_000, 50_059]]);
  assertEquals(parseReservedRanges(recorded("netsh_zh.txt")), [[1145, 1244], [28_385, 28_385], [
    50_000,
    50_059,
  ]]);
});

for (
  const text of [
    "",
    recorded("netsh_none.txt"),
    recorded("stderr_cim_denied.txt"),
    "9000 8000\r\n1 70000\r\n",
  ]
) {
  Deno.test(`parseReservedRanges() finds none in ${JSON.stringify(text.slice(0, 24))}`, () => {
    assertEquals(parseReservedRanges(text), []);
  });
}

// ---------------------------------------------------------------------------------------------------------- signals

Deno.test("taskkillArguments() ends the tree, by force for SIGKILL only", () => {
  const tree = true;
  assertEquals(taskkillArguments(15_344, { signal: "SIGTERM", tree }), ["/PID", "15344", "/T"]);
  assertEquals(taskkillArguments(15_344, { signal: "SIGKILL", tree }), ["/PID", "15344", "/T", "/F"]);
  assertEquals(taskkillArguments(-15_344, { signal: "SIGKILL", tree }), ["/PID", "15344", "/T", "/F"]);
  assertEquals(taskkillArguments(15_344, { signal: "SIGKILL", tree: false }), ["/PID", "15344", "/F"]);
});

const KILLS: [
  string,
  RunResult,
  { signal: Signal; stillThere: boolean },
  ReturnType<typeof decideTaskkill>,
][] = [
  ["taskkill ends with 0", ended(0), { signal: "SIGTERM", stillThere: true }, "sent"],
  [
    "the process is gone",
    ended(128, { stderr: recorded("taskkill_stderr_not_found.txt") }),
    { signal: "SIGTERM", stillThere: false },
    "gone",
  ],
  [
    "only force would end it",
    ended(1, { stderr: recorded("taskkill_stderr_force_only.txt") }),
    { signal: "SIGTERM", stillThere: true },
    "sent",
  ],
  [
    "access is denied",
    ended(1, { stderr: recorded("taskkill_stderr_denied.txt") }),
    { signal: "SIGTERM", stillThere: true },
    "denied",
  ],
  [
    "access is denied to force, in any language",
    ended(1, { stderr: recorded("taskkill_stderr_denied_de.txt") }),
    { signal: "SIGKILL", stillThere: true },
    "denied",
  ],
  [
    "a child could not be ended but the process was",
    ended(1, { stderr: recorded("taskkill_stderr_denied.txt") }),
    { signal: "SIGKILL", stillThere: false },
    "gone",
  ],
];
for (const [when, result, facts, expected] of KILLS) {
  Deno.test(`decideTaskkill() says ${expected} when ${when}`, () => {
    assertEquals(decideTaskkill(result, facts), expected);
  });
}

// ---------------------------------------------------------------------------------------------------------- scripts

Deno.test("every script passes through a command line unquoted and stops at the first error", () => {
  const scripts = [
    identityScript([1, 2]),
    identityScript(null),
    usageScript([1]),
    commandScript(1),
    listenersScript(8000),
  ];
  for (const script of scripts) {
    assert(!/["\r\n]/.test(script), script);
    assert(!script.endsWith("\\"), script);
    assert(script.startsWith("$ErrorActionPreference='Stop';"), script);
    assertEquals(powerShellArguments(script), [
      "-NoProfile",
      "-ExecutionPolicy",
      "Bypass",
      "-Command",
      script,
    ]);
  }
});

Deno.test("identityScript() asks for the processes and their parents", () => {
  assertStringIncludes(identityScript([15_344, 9012]), "-Filter 'ProcessId=15344 OR ProcessId=9012'");
  assertStringIncludes(identityScript([15_344]), "-Filter $q");
  assert(!identityScript(null).includes("-Filter"));
});

Deno.test("powerShells() begins with the system's own", () => {
  assertEquals(powerShells("D:\\Win"), [
    "D:\\Win\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
    "powershell.exe",
    "pwsh.exe",
  ]);
  for (const unset of [undefined, ""]) {
    assertEquals(powerShells(unset)[0], "C:/Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe");
  }
});

// ----------------------------------------------------------------------------------------- the reader on recordings

type Answer = RunResult | HostError;
type Answers = Record<string, Answer | ((args: readonly string[]) => Answer)>;

const POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";

/** Tools that answer each program from a recording, and keep what was asked. */
function replay(answers: Answers): { tools: ReaderTools; asked: string[][]; clock: { ms: number } } {
  const asked: string[][] = [];
  const clock = { ms: 0 };
  const tools: ReaderTools = {
    run: (command: string, args: readonly string[], _options: RunOptions) => {
      asked.push([command, ...args]);
      const known = answers[command] ?? new HostError("not_found", `${command} is not there`);
      const answer = typeof known === "function" ? known(args) : known;
      return answer instanceof HostError ? Promise.reject(answer) : Promise.resolve(answer);
    },
    env: (name) => name === "SystemRoot" ? "C:\\Windows" : undefined,
    selfPid: 15_000,
    ffi: null,
    arch: "x64",
    monotonic: () => clock.ms,
    direct: null,
  };
  return { tools, asked, clock };
}

Deno.test("inspect() sees processes, and calls those gone that CIM does not know", async () => {
  const { tools, asked } = replay({ [POWERSHELL]: ended(0, { stdout: recorded("cim_identity.json") }) });
  const seen = await createHelperReader(tools).inspect([15_344, 77_777, 0, -4, 15_344]);
  assertEquals([...seen].map(([pid, { kind }]) => [pid, kind]), [
    [15_344, "seen"],
    [77_777, "gone"],
    [0, "gone"],
    [-4, "gone"],
  ]);
  assertEquals(asked.length, 1);
  assertStringIncludes(asked[0]?.at(-1) ?? "", "'ProcessId=15344 OR ProcessId=77777 OR ProcessId=15000'");
});

Deno.test("every helper gets the variables that Windows programs can't start without", async () => {
  const environments: (Record<string, string> | undefined)[] = [];
  const { tools } = replay({});
  const reader = createHelperReader({
    ...tools,
    run: (_command, _args, options) => {
      environments.push(options.env);
      return Promise.resolve(ended(0));
    },
  });
  await reader.reservedRanges();
  await reader.listeners(8000);
  await reader.signal(15_344, "SIGTERM");
  assertEquals(environments.length, 6);
  for (const env of environments) assertEquals(env, { SystemRoot: "C:\\Windows" });
});

Deno.test("inspect() asks for all processes when it is asked for many", async () => {
  const { tools, asked } = replay({ [POWERSHELL]: ended(0, { stdout: recorded("cim_list.json") }) });
  const pids = Array.from({ length: 80 }, (_, index) => 20_000 + index);
  const seen = await createHelperReader(tools).inspect(pids);
  assert([...seen.values()].every(({ kind }) => kind === "gone"));
  assertEquals(asked.length, 1);
  assert(!asked[0]?.at(-1)?.includes("-Filter"));
});

Deno.test("inspect() tries the next PowerShell when one is missing, and not when one fails", async () => {
  const json = ended(0, { stdout: recorded("cim_identity.json") });
  const missing = replay({ "pwsh.exe": json });
  assertEquals((await createHelperReader(missing.tools).inspect([15_344])).get(15_344)?.kind, "seen");
  assertEquals(missing.asked.map(([program]) => program), [POWERSHELL, "powershell.exe", "pwsh.exe"]);

  const failing = replay({
    [POWERSHELL]: ended(1, { stderr: recorded("stderr_cim_denied.txt") }),
    "powershell.exe": json,
    tasklist: ended(0, { stdout: recorded("tasklist.txt") }),
  });
  const seen = (await createHelperReader(failing.tools).inspect([15_344])).get(15_344);
  assert(seen?.kind === "unknown");
  assertStringIncludes(seen.why, "Access denied");
  assertEquals(failing.asked.map(([program]) => program), [POWERSHELL, "tasklist"]);
});

const WITHOUT_CIM: { what: string; tasklist: Answer; kind: "gone" | "unknown" }[] = [
  {
    what: "calls a process gone that tasklist does not show",
    tasklist: ended(0, { stdout: recorded("tasklist_none_de.txt") }),
    kind: "gone",
  },
  {
    what: "does not know a process that tasklist shows",
    tasklist: ended(0, { stdout: recorded("tasklist.txt") }),
    kind: "unknown",
  },
  {
    what: "does not know when tasklist prints nothing",
    tasklist: ended(0),
    kind: "unknown",
  },
  {
    what: "does not know when tasklist fails",
    tasklist: ended(1, { stderr: "ERROR: x\r\n" }),
    kind: "unknown",
  },
  {
    what: "does not know when tasklist is missing",
    tasklist: new HostError("not_found", "x"),
    kind: "unknown",
  },
];
for (const { what, tasklist, kind } of WITHOUT_CIM) {
  Deno.test(`inspect() without PowerShell ${what}`, async () => {
    const { tools } = replay({ tasklist });
    assertEquals((await createHelperReader(tools).inspect([15_344])).get(15_344)?.kind, kind);
  });
}

for (
  const { what, stdout } of [
    { what: "nothing", stdout: "" },
    { what: "an empty list", stdout: recorded("cim_identity_none.json") },
    { what: "a list without foster itself", stdout: recorded("cim_identity_one.json") },
  ]
) {
  Deno.test(`inspect() and list() do not believe a PowerShell that prints ${what}`, async () => {
    const { tools } = replay({ [POWERSHELL]: ended(0, { stdout }), tasklist: ended(0) });
    const reader = createHelperReader(tools);
    assertEquals((await reader.inspect([77_777])).get(77_777)?.kind, "unknown");
    await assertRejects(() => reader.list(), HostError);
  });
}

Deno.test("inspect() does not know when CIM's answer breaks off", async () => {
  const { tools } = replay({
    [POWERSHELL]: ended(0, { stdout: recorded("cim_identity.json").slice(0, 150) }),
    tasklist: ended(0, { stdout: recorded("tasklist.txt") }),
  });
  assertEquals((await createHelperReader(tools).inspect([15_344])).get(15_344)?.kind, "unknown");
});

Deno.test("list() lists all, and throws when CIM fails", async () => {
  const { tools } = replay({ [POWERSHELL]: ended(0, { stdout: recorded("cim_list.json") }) });
  assertEquals((await createHelperReader(tools).list()).map(({ pid }) => pid), [
    4,
    180,
    900,
    15_000,
    15_344,
  ]);
  await assertRejects(
    () => createHelperReader(replay({}).tools).list(),
    HostError,
    "Cannot list the processes",
  );
});

Deno.test("argv(), paths() and usage() read one process", async () => {
  const reader = createHelperReader(
    replay({ [POWERSHELL]: ended(0, { stdout: recorded("cim_command.json") }) }).tools,
  );
  assertEquals((await reader.argv(15_344))?.slice(1, 3), ["-m", "docs"]);
  assertEquals(await reader.paths(15_344), {
    executable: "C:\\Program Files\\Python312\\python.exe",
    cwd: null,
  });
  assertEquals(await reader.argv(9), null);
  const usage = createHelperReader(
    replay({ [POWERSHELL]: ended(0, { stdout: recorded("cim_usage.json") }) }).tools,
  );
  assertEquals((await usage.usage([15_344, 4])).get(15_344)?.cpuMs, 3281);
});

Deno.test("argv() is null for a protected process", async () => {
  const { tools } = replay({ [POWERSHELL]: ended(0, { stdout: recorded("cim_command_protected.json") }) });
  assertEquals(await createHelperReader(tools).argv(4), null);
});

function netstat(v4: string, v6: string): (args: readonly string[]) => RunResult {
  return (args) => ended(0, { stdout: recorded(args.at(-1) === "TCPv6" ? v6 : v4) });
}

Deno.test("listeners() joins IPv4 and IPv6 and leaves PowerShell alone", async () => {
  const { tools, asked } = replay({ netstat: netstat("netstat_en.txt", "netstat_v6_en.txt") });
  const seen = await createHelperReader(tools).listeners(8000);
  assert(seen.kind === "known");
  assertEquals(seen.listeners.map(({ pid }) => pid), [15_344, 9012, 15_344, 2020, 2020]);
  assertEquals(await createHelperReader(tools).listeners(7000), {
    kind: "known",
    listeners: [],
    unnamed: 0,
  });
  assert(asked.every(([program]) => program === "netstat"));
});

Deno.test("listeners() asks PowerShell when netstat speaks another language", async () => {
  const { tools } = replay({
    netstat: netstat("netstat_de.txt", "netstat_de.txt"),
    [POWERSHELL]: ended(0, { stdout: `${recorded("get_nettcpconnection.txt")}\r\n${LISTENERS_END}\r\n` }),
  });
  const seen = await createHelperReader(tools).listeners(8000);
  assert(seen.kind === "known");
  assertEquals(seen.listeners.map(({ pid }) => pid), [19_004, 19_004, 4]);
});

Deno.test("listeners() believes a PowerShell that names nobody, but not a silent one", async () => {
  const silent = replay({ netstat: ended(0), [POWERSHELL]: ended(0) });
  assertEquals((await createHelperReader(silent.tools).listeners(8000)).kind, "unknown");
  const { tools } = replay({ netstat: ended(1), [POWERSHELL]: ended(0, { stdout: `${LISTENERS_END}\r\n` }) });
  assertEquals(await createHelperReader(tools).listeners(8000), {
    kind: "known",
    listeners: [],
    unnamed: 0,
  });
});

Deno.test("listeners() ignores what a failed PowerShell printed", async () => {
  const { tools } = replay({
    netstat: netstat("netstat_fr.txt", "netstat_fr.txt"),
    [POWERSHELL]: ended(1, {
      stdout: recorded("get_nettcpconnection.txt"),
      stderr: recorded("stderr_get_nettcpconnection.txt"),
    }),
  });
  assertEquals((await createHelperReader(tools).listeners(8000)).kind, "unknown");
});

Deno.test("listeners() does not know when both tools are missing", async () => {
  const seen = await createHelperReader(replay({}).tools).listeners(8000);
  assert(seen.kind === "unknown");
  assertStringIncludes(seen.why, "netstat is not there");
  assertStringIncludes(seen.why, "pwsh.exe is not there");
});

/** What PowerShell prints of processes given as pid, parent's pid and second of creation. */
function cimTable(rows: readonly (readonly [pid: number, parent: number, second: number])[]): string {
  return JSON.stringify(rows.map(([ProcessId, ParentProcessId, second]) => ({
    ProcessId,
    ParentProcessId,
    CreationDate: new Date(Date.UTC(2026, 10, 20, 12, 0, second)).toISOString(),
  })));
}

const TREES: [string, Parameters<typeof cimTable>[0], boolean][] = [
  ["it has no children", [[400, 1, 0], [500, 1, 1]], true],
  ["its children are younger than it", [[400, 1, 0], [500, 400, 1], [600, 500, 2]], true],
  ["a child is older: it kept the pid of a parent that ended", [[400, 1, 5], [500, 400, 1]], false],
  ["a grandchild is older than its parent", [[400, 1, 0], [500, 400, 9], [600, 500, 2]], false],
];
for (const [what, rows, expected] of TREES) {
  Deno.test(`isTrueTree() is ${expected} when ${what}`, () => {
    assertEquals(isTrueTree(parseCimProcesses(cimTable(rows)) ?? [], 400), expected);
  });
}

Deno.test("signal() looks after a failed taskkill whether the process is still there", async () => {
  const powershell = ended(0, { stdout: cimTable([[15_344, 1, 0], [15_000, 1, 0]]) });
  const there = replay({
    [POWERSHELL]: powershell,
    taskkill: ended(1, { stderr: recorded("taskkill_stderr_denied_de.txt") }),
    tasklist: ended(0, { stdout: recorded("tasklist.txt") }),
  });
  assertEquals(await createHelperReader(there.tools).signal(-15_344, "SIGKILL"), "denied");
  assertEquals(there.asked.slice(1), [
    ["taskkill", "/PID", "15344", "/T", "/F"],
    ["tasklist", "/FI", "PID eq 15344", "/NH", "/FO", "CSV"],
  ]);
  const gone = replay({
    [POWERSHELL]: powershell,
    taskkill: ended(128),
    tasklist: ended(0, { stdout: recorded("tasklist_none_en.txt") }),
  });
  assertEquals(await createHelperReader(gone.tools).signal(15_344, "SIGTERM"), "gone");
});

Deno.test("signal() ends the process alone where its tree can't be told from a foreign process's", async () => {
  const foreign = cimTable([[15_344, 1, 5], [500, 15_344, 1], [15_000, 1, 0]]);
  for (const powershell of [ended(0, { stdout: foreign }), ended(1)]) {
    const { tools, asked } = replay({
      [POWERSHELL]: powershell,
      taskkill: ended(0, { stdout: recorded("taskkill_sent.txt") }),
    });
    assertEquals(await createHelperReader(tools).signal(15_344, "SIGTERM"), "sent");
    assertEquals(asked.at(-1), ["taskkill", "/PID", "15344"]);
  }
});

Deno.test("reservedRanges() is known for exactly 2 000 ms", async () => {
  const { tools, asked, clock } = replay({ netsh: ended(0, { stdout: recorded("netsh_es.txt") }) });
  const reader = createHelperReader(tools);
  clock.ms = 500;
  assertEquals((await reader.reservedRanges()).length, 3);
  clock.ms = 2500;
  assertEquals((await reader.reservedRanges()).length, 3);
  assertEquals(asked.length, 1);
  clock.ms = 2501;
  await reader.reservedRanges();
  assertEquals(asked.length, 2);
});

Deno.test("reservedRanges() is empty and asks again when netsh fails", async () => {
  let answer: Answer = ended(1, { stdout: recorded("netsh_en.txt") });
  const { tools, asked } = replay({ netsh: () => answer });
  const reader = createHelperReader(tools);
  assertEquals(await reader.reservedRanges(), []);
  answer = new HostError("timeout", "netsh did not end");
  assertEquals(await reader.reservedRanges(), []);
  answer = ended(0, { stdout: recorded("netsh_en.txt") });
  assertEquals((await reader.reservedRanges()).length, 5);
  assertEquals(asked.length, 3);
});

Deno.test("the Windows reader knows no environments", async () => {
  const reader = createHelperReader(replay({}).tools);
  assertEquals(await reader.carrying("FOSTER_TOKEN=1", [4]), []);
  assertEquals(await reader.carryingPrefix("FOSTER_TOKEN="), []);
});
