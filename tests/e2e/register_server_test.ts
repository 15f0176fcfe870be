import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";
import { binary, exists, Foster, isAlive, until } from "./harness.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** A server that says its pid and stays. */
const STAYS = ["deno", "eval", "console.log(`up ${Deno.pid}`); setInterval(() => {}, 1000)"];

interface Row extends Record<string, unknown> {
  pid: number;
}

interface Doctor {
  findings: { level: string; code: string; message: string; fix: string }[];
  processes: Row[];
}

/** The command line of foster for a shell that starts it. */
function fosterWords(): string[] {
  if (binary !== null) return [binary];
  return [
    Deno.execPath(),
    "run",
    "-q",
    "--no-prompt",
    "--config",
    join(ROOT, "deno.json"),
    ...scopedFlags,
    join(ROOT, "main.ts"),
  ];
}

function shellWords(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

async function doctor(foster: Foster): Promise<Doctor> {
  return (await foster.run(["doctor", "processes", "--json"])).json<Doctor>();
}

function pidIn(line: string): number {
  return Number(/up (\d+)/.exec(line)?.[1]);
}

for (
  const [how, script, code] of [
    ["its exit code", "exit 7", 7],
    ["success", "exit 0", 0],
    ["death by SIGTERM as 143", "kill -s TERM $$", 143],
    ["death by SIGKILL as 137", "kill -s KILL $$", 137],
  ] as const
) {
  Deno.test(`register passes on ${how}`, async () => {
    await using foster = await Foster.create();
    const { stdout } = await foster.expect(code, [
      ...["register", "--transport", "stdio", "--"],
      ...["sh", "-c", `echo said; ${script}`],
    ]);
    assertEquals(stdout, "said\n");
    assertEquals([...Deno.readDirSync(join(foster.stateDir, "processes"))], []);
  });
}

Deno.test("register hands stdin to the server, which ends with it", async () => {
  await using foster = await Foster.create();
  const words = [...fosterWords(), "register", "--transport", "stdio", "--", "cat"];
  const running = foster.startProgram("sh", ["-c", `echo hello | ${shellWords(words)}`]);
  assertEquals(await running.finish(), { code: 0, stdout: "hello\n", stderr: "" });
});

Deno.test("register keeps a record that doctor shows, passes SIGTERM on and takes the record away", async () => {
  await using foster = await Foster.create();
  const bound = ["--transport", "http", "--bind", "127.0.0.1:3001", "--http-path", "/x"];
  const running = foster.start(["register", ...bound, "--", ...STAYS]);
  const pid = pidIn(await running.stdoutLine(/^up/));
  const path = join(foster.stateDir, "processes", `${pid}.json`);
  await until("the record", () => exists(path));
  assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  const record = JSON.parse(Deno.readTextFileSync(path));
  assertEquals(record.parent_pid_at_start, Deno.pid);
  assertEquals(record.register.pid, running.pid);
  assertEquals(record.cwd, foster.cwd);

  const { processes: [row], findings } = await doctor(foster);
  assertEquals(findings.filter(({ level }) => level !== "info"), []);
  assertEquals(
    [row?.pid, row?.verdict, row?.alive, row?.executable_match, row?.transport, row?.bind, row?.http_path],
    [pid, "ours", true, "yes", "http", "127.0.0.1:3001", "/x"],
  );
  assertEquals([row?.current_parent_pid, row?.stale_client, row?.record], [Deno.pid, false, path]);

  running.kill("SIGTERM");
  assertEquals((await running.finish()).code, 143);
  assertEquals([await isAlive(pid), await exists(path)], [false, false]);
});

Deno.test("register ends a stdio server whose client was killed, and takes the record away", async () => {
  await using foster = await Foster.create();
  const words = [...fosterWords(), "register", "--transport", "stdio", "--", ...STAYS];
  const client = foster.startProgram("sh", ["-c", `${shellWords(words)} & wait`]);
  const pid = pidIn(await client.stdoutLine(/^up/));
  const path = join(foster.stateDir, "processes", `${pid}.json`);
  await until("the record", () => exists(path));
  client.kill("SIGKILL");
  await until("the server's end", async () => !await isAlive(pid));
  await until("the record's end", async () => !await exists(path));
});

Deno.test("register leaves an http server alone when its starter is gone", async () => {
  await using foster = await Foster.create();
  const words = [...fosterWords(), "register", "--transport", "http", "--", ...STAYS];
  const starter = foster.startProgram("sh", ["-c", `${shellWords(words)} & echo register $!; wait`]);
  const register = Number((await starter.stdoutLine(/^register/)).split(" ")[1]);
  const pid = pidIn(await starter.stdoutLine(/^up/));
  await until("the record", () => exists(join(foster.stateDir, "processes", `${pid}.json`)));
  starter.kill("SIGKILL");
  // Longer than a watcher would take to notice.
  const endsAt = performance.now() + 2500;
  await until("some time", () => performance.now() > endsAt);
  assertEquals([await isAlive(pid), await isAlive(register)], [true, true]);
  Deno.kill(register, "SIGTERM");
  await until("the server's end", async () => !await isAlive(pid));
  await until("the register's end", async () => !await isAlive(register));
});

Deno.test("doctor tells how to end what a killed register left, and cleans up after it", async () => {
  await using foster = await Foster.create();
  const running = foster.start(["register", "--transport", "stdio", "--", ...STAYS]);
  const pid = pidIn(await running.stdoutLine(/^up/));
  await until("the record", () => exists(join(foster.stateDir, "processes", `${pid}.json`)));
  running.kill("SIGKILL");
  await until("the register's end", async () => !await isAlive(running.pid));

  const stale = await doctor(foster);
  assertEquals(stale.processes[0]?.stale_client, true);
  const [finding] = stale.findings.filter(({ level }) => level === "warn");
  assertEquals([finding?.code, finding?.fix], ["stale_client", `kill -s TERM ${pid}`]);
  assertEquals(await isAlive(pid), true);
  const typed = await new Deno.Command("sh", { args: ["-c", finding?.fix ?? ""] }).output();
  assertEquals(typed.code, 0);
  await until("the server's end", async () => !await isAlive(pid));

  const dead = await foster.expect(1, ["doctor", "processes"]);
  assertMatch(dead.stdout, /foster doctor processes --cleanup-stale-records/);
  const cleaned = await foster.expect(0, ["doctor", "processes", "--cleanup-stale-records"]);
  assertMatch(cleaned.stdout, new RegExp(`pid ${pid} is left over`));
  assertMatch(cleaned.stderr, new RegExp(`^removed ".*/processes/${pid}\\.json"\n$`));
  assertEquals((await doctor(foster)).processes, []);
});

Deno.test("register is wrong usage without a command, and 11 when there is no such command", async () => {
  await using foster = await Foster.create();
  for (
    const args of [
      ["register"],
      ["register", "--transport", "stdio"],
      ["register", "--transport", "pigeon", "--", "cat"],
      ["register", "--transport", "http", "--bind", "0.0.0.0:3001", "--", "cat"],
      ["register", "--transport", "http", "--http-path", "/mcp", "--", "cat"],
      ["register", "--transport", "http", "--bind", "127.0.0.1:3001", "--http-path", "mcp", "--", "cat"],
    ]
  ) {
    const { stdout, stderr } = await foster.expect(2, args);
    assertEquals(stdout, "");
    assert(stderr !== "", args.join(" "));
  }
  const missing = await foster.expect(11, ["register", "--transport", "stdio", "--", "no-such-program-here"]);
  assertMatch(missing.stderr, /^Cannot run no-such-program-here: not in .*\/usr\/bin/);
});
