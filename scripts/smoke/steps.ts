/**
 * What a built foster has to do on whatever system it was built for: start its own server and one of a definition, find
 * them again, hand a client through, restart, and leave nothing behind.
 *
 * @module
 */
import { join } from "@std/path";

/** A built foster and the system that it runs on. */
export interface Subject {
  name: string;
  /** What starts it, its own arguments to be appended: `["chroot", "/root", "/foster"]`. */
  command: readonly [string, ...string[]];
  /** Its whole environment. */
  env: Record<string, string>;
  /** A folder that is empty, as this script sees it. */
  folder: string;
  /** The same folder as the program sees it. */
  inside: string;
  /** Where the program is, as it sees that itself. */
  program: string;
  /** An emulated processor takes many times as long. */
  isSlow: boolean;
}

export interface Result {
  name: string;
  /** Null where it went well. */
  failure: string | null;
}

export interface Outcome {
  results: Result[];
  /** What could not be tried here, each with its reason. */
  skipped: string[];
}

/** A program of this system. */
export async function smokeBinary(path: string): Promise<Outcome> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-smoke-" }));
  try {
    // Under another name, and nowhere that PATH leads to.
    const program = join(folder, Deno.build.os === "windows" ? "renamed.exe" : "renamed program");
    await Deno.copyFile(path, program);
    if (Deno.build.os !== "windows") await Deno.chmod(program, 0o755);
    const results = await smoke({
      name: path,
      command: [program],
      program,
      env: { ...Deno.env.toObject(), HOME: folder, FOSTER_STATE_DIR: join(folder, "state") },
      folder,
      inside: folder,
      isSlow: false,
    });
    return { results, skipped: [] };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

class Failure extends Error {}

function limitOf(isSlow: boolean): number {
  return isSlow ? 240_000 : 60_000;
}

/** How long foster itself is to wait for a server. */
function patience({ isSlow }: Subject): string[] {
  return isSlow ? ["--timeout", "180s"] : [];
}

/** Of a text that explains a failure. */
const SHOWN = 2000;

/** Runs every step; one that fails does not keep the others from being tried. */
export async function smoke(subject: Subject): Promise<Result[]> {
  const results: Result[] = [];
  const step = async (name: string, run: () => Promise<void>) => {
    const began = performance.now();
    const failure = await run().then(() => null, (error: unknown) => {
      if (!(error instanceof Failure)) throw error;
      return error.message;
    });
    results.push({ name: `${subject.name}: ${name}`, failure });
    const took = `${Math.round(performance.now() - began)} ms`;
    console.log(`${failure === null ? "ok     " : "FAILED "} ${subject.name}: ${name}  ${took}`);
    if (failure !== null) console.log(`        ${failure.replaceAll("\n", "\n        ")}`);
  };
  const server = join(subject.folder, "own server");
  // A program that no list of usual ones has, with a blank in its path.
  await Deno.writeTextFile(server, `#!/bin/sh\nexec "${subject.program}" demo-server "$@"\n`, {
    mode: 0o755,
  });
  await Deno.writeTextFile(
    join(subject.folder, "foster.json"),
    JSON.stringify({ servers: { own: ownServer(`${subject.inside}/own server`) } }),
  );
  const definitions = ["--config", `${subject.inside}/foster.json`];
  const pids = new Set<number | null>();
  try {
    await step("--version", async () => {
      const { stdout } = await succeed(subject, ["--version", "--verbose"]);
      expect(/^foster \d+\.\d+\.\d+ \((?:bun|deno) .*compiled/.test(stdout), stdout);
    });
    await step("up", async () => void await succeed(subject, ["up", "demo", ...patience(subject)]));
    await step("ps knows it again", async () => {
      const row = await rowOf(subject, "demo");
      expect(row.state === "ready" && row.process === "ours", JSON.stringify(row));
      pids.add(row.pid);
    });
    await step("up of what is up starts no second one", async () => {
      await succeed(subject, ["up", "demo", ...patience(subject)]);
      const row = await rowOf(subject, "demo");
      expect(pids.has(row.pid), JSON.stringify(row));
    });
    await step("probe", async () => void await succeed(subject, ["probe", "demo", "--tool", "echo"]));
    await step("connect hands a client through", async () => await converse(subject));
    await step("restart starts another process", async () => {
      await succeed(subject, ["restart", "demo", ...patience(subject)]);
      const row = await rowOf(subject, "demo");
      expect(row.state === "ready" && row.process === "ours" && !pids.has(row.pid), JSON.stringify(row));
    });
    await step("status", async () => {
      const { stdout } = await succeed(subject, ["status", "demo"]);
      expect(/ready \(managed\)/.test(stdout), stdout);
    });
    // The program is a script for sh.
    if (Deno.build.os !== "windows") {
      await step("up of a program that only a definition names", async () => {
        await succeed(subject, ["up", "own", ...definitions, ...patience(subject)]);
        await succeed(subject, ["down", "own", ...definitions]);
      });
    }
    await step("doctor gives no hint that a binary can't follow", async () => {
      const { stdout, stderr } = await run(subject, ["doctor"]);
      const said = stdout + stderr;
      expect(!/deno run|--allow-|main\.ts/.test(said), said);
    });
    await step("logs", async () => void await succeed(subject, ["logs", "demo"]));
    await step("down", async () => {
      await succeed(subject, ["down", "demo"]);
      const { stdout } = await succeed(subject, ["ps", "--json"]);
      const rows: Row[] = JSON.parse(stdout).servers;
      expect(rows.every(({ pid }) => pid === null), stdout);
    });
    await step("down --all leaves no supervisor", async () => {
      await succeed(subject, ["down", "--all"]);
      const { stdout } = await succeed(subject, ["ps", "--json"]);
      expect(JSON.parse(stdout).supervisor === null, stdout);
    });
  } finally {
    await endAll(subject);
  }
  return results;
}

/** Also after steps that failed nothing is left running. */
async function endAll(subject: Subject): Promise<void> {
  await run(subject, ["down", "--all"]);
  const { stdout } = await run(subject, ["ps", "--json"]);
  const pid: unknown = stdout.startsWith("{") ? JSON.parse(stdout).supervisor?.pid : null;
  if (typeof pid === "number") Deno.kill(pid, "SIGTERM");
}

function ownServer(command: string) {
  return {
    command,
    args: [["--port", "${port}"], ["--pid-file", "${pidFile}"]],
    port: "auto",
    identity: { name: "foster-demo", statusPath: "/foster/status" },
    brand: ["demo-server"],
    brandFlags: ["--pid-file", "--port"],
  };
}

interface Row {
  state: string;
  process: string;
  pid: number | null;
}

async function rowOf(subject: Subject, name: string): Promise<Row> {
  const { stdout } = await succeed(subject, ["ps", "--json"]);
  const row: Row | undefined = JSON.parse(stdout).servers.find((each: { name: string }) =>
    each.name === name
  );
  if (row === undefined) throw new Failure(`ps shows no ${name}: ${stdout}`);
  return row;
}

/** One client's session through `connect`: a request, its answer, the end of the input. */
async function converse(subject: Subject): Promise<void> {
  const params = {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "smoke", version: "1" },
  };
  const request = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  const { code, stdout, stderr } = await run(subject, ["connect", "demo", ...patience(subject)], {
    request: `${request}\n`,
  });
  expect(code === 0, `ended with ${code}: ${stderr}`);
  expect(/"foster-demo"/.test(stdout), `no answer: ${stdout}${stderr}`);
}

async function succeed(subject: Subject, args: readonly string[]): Promise<Ended> {
  const ended = await run(subject, args);
  expect(ended.code === 0, `${args.join(" ")} ended with ${ended.code}: ${ended.stdout}${ended.stderr}`);
  return ended;
}

/** Runs one command line. With a `request` its input is left open until one line of output is there. */
export async function run(
  { command: [program, ...before], env, folder, isSlow }: Pick<
    Subject,
    "command" | "env" | "folder" | "isSlow"
  >,
  args: readonly string[],
  { request = null }: { request?: string | null } = {},
): Promise<Ended> {
  const child = new Deno.Command(program, {
    args: [...before, ...args],
    cwd: folder,
    clearEnv: true,
    env,
    stdin: request === null ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const limit = setTimeout(() => child.kill("SIGKILL"), limitOf(isSlow));
  try {
    const [first, rest] = child.stdout.tee();
    const [, stdout, stderr, { code }] = await Promise.all([
      request === null ? first.cancel() : answer(child, first, request),
      new Response(rest).text(),
      new Response(child.stderr).text(),
      child.status,
    ]);
    return { code, stdout, stderr };
  } finally {
    clearTimeout(limit);
  }
}

async function answer(
  child: Deno.ChildProcess,
  output: ReadableStream<Uint8Array>,
  request: string,
): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(request));
  let text = "";
  for await (const chunk of output.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  await writer.close();
}

function expect(isRight: boolean, why: string): void {
  if (!isRight) throw new Failure(why.trim().slice(0, SHOWN));
}
