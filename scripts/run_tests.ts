/**
 * Runs the tests: `deno run -A scripts/run_tests.ts [PATH…]`. Every test that was skipped is named at the end with its
 * reason, and the last line is `N passed, N failed, N skipped`.
 *
 * @module
 */
import { stripAnsiCode } from "@std/fmt/colors";
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
const limitMs = 15 * 60_000;

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

/** What tests themselves said about being skipped, each once: `SKIPPED: what: why`. */
export function readSaid(output: string): string[] {
  return [...new Set([...output.matchAll(/^\W*SKIPPED: (.+)$/gm)].map(([, said = ""]) => said))];
}

function unescaped(text: string): string {
  const names: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (whole, name: string) => names[name] ?? whole);
}

/** Passes the stream on and keeps it. */
async function pass(stream: ReadableStream<Uint8Array>, to: { writeSync(bytes: Uint8Array): number }) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let at = 0; at < chunk.length;) at += to.writeSync(chunk.subarray(at));
  }
  return stripAnsiCode(text);
}

async function main(paths: readonly string[]): Promise<number> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  const args = [
    "test",
    "-A",
    "-q",
    "--no-prompt",
    `--junit-path=${report}`,
    ...paths.length > 0 ? paths : ["tests"],
  ];
  // Where these come from a task runner or a user they would lead foster elsewhere.
  const unwanted = Object.keys(Deno.env.toObject()).filter((name) =>
    name === "INIT_CWD" || (name.startsWith("FOSTER_") && name !== "FOSTER_BIN")
  );
  for (const name of unwanted) Deno.env.delete(name);
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: project,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : {},
  }).spawn();
  const limit = setTimeout(() => {
    child.kill("SIGKILL");
    console.error(
      `\nThe tests did not end within ${limitMs / 60_000} minutes: the last one named above hangs`,
    );
    console.log("0 passed, 1 failed, 0 skipped");
    // What hangs may hold the output open: nothing is waited for.
    Deno.exit(1);
  }, limitMs);
  const [out, err] = await Promise.all([pass(child.stdout, Deno.stdout), pass(child.stderr, Deno.stderr)]);
  const { code } = await child.status;
  clearTimeout(limit);

  const skipped = readSkipped(await Deno.readTextFile(report));
  await Deno.remove(report);
  for (const said of readSaid(`${out}\n${err}`)) console.log(`SKIPPED  ${said}`);
  for (const { name, file, line } of skipped) {
    const condition = conditionOf(await Deno.readTextFile(join(project, file)), line);
    console.log(
      `SKIPPED  ${name}\n         ${file}:${line}, because of: ${condition ?? "no condition found"}`,
    );
  }
  const tally = readTally(out) ?? { passed: 0, failed: 0, skipped: skipped.length };
  // A file that does not load fails without being counted.
  if (code !== 0 && tally.failed === 0) tally.failed = 1;
  console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
