/**
 * Runs the tests: `deno run -A scripts/run_tests.ts [--all] [PATH…]`. What was left out and every test that was skipped
 * is named at the end with its reason, and the last line is `N passed, N failed, N skipped`.
 *
 * @module
 */
import { stripVTControlCharacters } from "node:util";
import { fromFileUrl, join } from "@std/path";

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Skipped {
  name: string;
  file: string;
  /** Of the call, counted from 1. */
  line: number;
}

/** Several times what all tests take on a slow machine. */
const limitMs = 40 * 60_000;

const project = fromFileUrl(new URL("..", import.meta.url));

/** What Deno's own last line counts; null where the run did not come that far. */
export function readTally(output: string): Tally | null {
  const [last] = output.split("\n").filter((line) => /^(?:ok|FAILED) \| \d+ passed/.test(line)).slice(-1);
  if (last === undefined) return null;
  const count = (word: string) => Number(new RegExp(`\\| (\\d+) ${word}`).exec(last)?.[1] ?? 0);
  return { passed: count("passed"), failed: count("failed"), skipped: count("ignored") };
}

/** The skipped tests of a JUnit report, as Deno writes it. */
export function readSkipped(report: string): Skipped[] {
  const cases = /<testcase name="([^"]*)" classname="([^"]*)"[^>]*? line="(\d+)"[^>]*>\s*<skipped\/>/g;
  return [...report.matchAll(cases)].map(([, name = "", file = "", line = "0"]) => ({
    name: unescaped(name),
    file: unescaped(file).replace(/^\.\//, ""),
    line: Number(line),
  }));
}

/** The condition that a test states for being skipped, from the lines of its call on. */
export function conditionOf(source: string, line: number): string | null {
  const call = source.split("\n").slice(line - 1, line + 5).join("\n");
  return /\bignore(?:: *([^\n]+?))?,\n/.exec(call)?.[1] ?? (/\bignore,/.test(call) ? "ignore" : null);
}

function unescaped(text: string): string {
  const names: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (whole, name: string) => names[name] ?? whole);
}

/** Keeps all of the stream, and passes it on where that is wanted. */
async function read(stream: ReadableStream<Uint8Array>, to: { writeSync(bytes: Uint8Array): number } | null) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let at = 0; to !== null && at < chunk.length;) at += to.writeSync(chunk.subarray(at));
  }
  return text;
}

const END_TO_END = "tests/e2e";
const SUITE_END = "tests/zz_suite_end_test.ts";

/**
 * End-to-end tests of what no engine has a part in: messages, streams, clients, other people's programs. From source they
 * take minutes and show what they show with the binary, so that without one they run only by name or with `--all`.
 */
export const SAME_IN_EVERY_ENGINE = [
  "attach_secrets",
  "chaos",
  "completions_shell",
  "connect_busy",
  "connect_chaos",
  "connect_life",
  "godot_ai",
  "hostile_state",
  "odd_servers",
  "odd_streams",
  "official_clients",
  "python_revisions",
  "revisions",
  "run_logs",
  "ui_page",
].map((name) => `${END_TO_END}/${name}_test.ts`);

interface Lane {
  paths: string[];
  /** How many files at a time. */
  jobs: number;
  leftOut?: readonly string[];
}

/** What is run side by side: end-to-end tests mostly wait, the others mostly compute. */
async function lanesOf(paths: readonly string[], { all }: { all: boolean }): Promise<Lane[]> {
  if (paths.length > 0) {
    const waiting = paths.every((path) => path.startsWith(END_TO_END));
    return [{ paths: [...paths], jobs: waiting ? 2 : 1 }];
  }
  const others: string[] = [];
  for await (const { name } of Deno.readDir(join(project, "tests"))) {
    const path = `tests/${name}`;
    if (![END_TO_END, SUITE_END, "tests/fixtures", "tests/recorded"].includes(path)) others.push(path);
  }
  const leftOut = all || Deno.env.get("FOSTER_BIN") !== undefined ? [] : SAME_IN_EVERY_ENGINE;
  return [{ paths: [END_TO_END], jobs: 2, leftOut }, { paths: others.sort(), jobs: 1 }];
}

interface Ran {
  code: number;
  output: string;
  skipped: Skipped[];
}

interface RunOptions {
  /** Whether it is seen as it goes, or when it is over. */
  live: boolean;
  /** The file that lists the marks of what tests started. */
  marks: string;
}

/** The lanes that have not ended. */
const running = new Set<Deno.ChildProcess>();

/** Runs one lane to its end. */
async function runLane({ paths, jobs, leftOut = [] }: Lane, { live, marks }: RunOptions): Promise<Ran> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  const child = new Deno.Command(Deno.execPath(), {
    // Types are the gate's matter: each lane would check all of them again.
    args: [
      "test",
      "-A",
      "-q",
      "--no-prompt",
      "--no-check",
      `--junit-path=${report}`,
      ...jobs > 1 ? ["--parallel"] : [],
      ...leftOut.length > 0 ? [`--ignore=${leftOut.join(",")}`] : [],
      ...paths,
    ],
    cwd: project,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: {
      DENO_JOBS: String(jobs),
      SUITE_MARKS: marks,
      ...Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : {},
    },
  }).spawn();
  running.add(child);
  const limit = setTimeout(() => {
    for (const each of running) each.kill("SIGKILL");
    console.error(
      `\nThe tests did not end within ${limitMs / 60_000} minutes: one in ${paths.join(" ")} hangs`,
    );
    console.log("0 passed, 1 failed, 0 skipped");
    // What hangs may hold the output open: nothing is waited for.
    Deno.exit(1);
  }, limitMs);
  const texts = await Promise.all([
    read(child.stdout, live ? Deno.stdout : null),
    read(child.stderr, live ? Deno.stderr : null),
  ]);
  const { code } = await child.status;
  running.delete(child);
  clearTimeout(limit);
  const skipped = readSkipped(await Deno.readTextFile(report));
  await Deno.remove(report);
  return { code, output: texts.join("\n"), skipped };
}

async function main(args: readonly string[]): Promise<number> {
  const all = args.includes("--all");
  const paths = args.filter((arg) => arg !== "--all");
  // Where these come from a task runner or a user they would lead foster elsewhere.
  const unwanted = Object.keys(Deno.env.toObject()).filter((name) =>
    name === "INIT_CWD" ||
    (name.startsWith("FOSTER_") && name !== "FOSTER_BIN" && !name.startsWith("FOSTER_CHAOS_"))
  );
  for (const name of unwanted) Deno.env.delete(name);
  const marks = await Deno.makeTempFile({ prefix: "foster-suite-", suffix: ".marks" });
  const lanes = await lanesOf(paths, { all });
  const ran = await Promise.all(lanes.map((lane, index) => runLane(lane, { live: index === 0, marks })));
  for (const { output } of ran.slice(1)) console.log(output);
  ran.push(await runLane({ paths: [SUITE_END], jobs: 1 }, { live: true, marks }));

  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const { code, output, skipped } of ran) {
    const plain = stripVTControlCharacters(output);
    for (const { name, file, line } of skipped) {
      const condition = conditionOf(await Deno.readTextFile(join(project, file)), line);
      const why = condition === null ? "" : `, because of: ${condition}`;
      console.log(`SKIPPED  ${name}\n         ${file}:${line}${why}`);
    }
    const tally = readTally(plain) ?? { passed: 0, failed: 1, skipped: skipped.length };
    // A file that does not load fails without being counted.
    total.failed += code !== 0 && tally.failed === 0 ? 1 : tally.failed;
    total.passed += tally.passed;
    total.skipped += tally.skipped;
  }
  for (const path of lanes.flatMap(({ leftOut = [] }) => leftOut)) {
    console.log(
      `LEFT OUT  ${path}\n          the same in every engine: runs with FOSTER_BIN, by name, or with --all`,
    );
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return ran.find(({ code }) => code !== 0)?.code ?? (total.failed === 0 ? 0 : 1);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
