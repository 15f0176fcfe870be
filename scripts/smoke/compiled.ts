/**
 * Runs what `deno compile` makes of this checkout. `deno compile` downloads its runtime, denort; where that can't be had,
 * it is cut out of a published program that was itself made by `deno compile`. The newest such runtime is older than
 * foster needs, so that the program is built twice: as it is, when it must refuse to start, and with what that runtime
 * lacks filled in.
 *
 * @module
 */
import { fromFileUrl, join, toFileUrl } from "@std/path";
import { denoRefusal } from "../../src/host/engine/deno/version.ts";
import { build } from "../build.ts";
import { type Outcome, type Result, run, smokeBinary } from "./steps.ts";

const project = fromFileUrl(new URL("../..", import.meta.url));

/** From PyPI: the compiler, and a program that its runtime is cut out of. */
const COMPILER = "deno==2.6.10";
const CARRIER = "bids-validator-deno==2.4.1";

export async function smokeCompiled(): Promise<Outcome> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-compile-" }));
  const variables = ["PATH", "DENORT_BIN", "DENO_TLS_CA_STORE"].map((name) =>
    [name, Deno.env.get(name)] as const
  );
  const main = join(project, "main.ts");
  try {
    const program = await compile(main, join(folder, "compiled")).catch(async (error: unknown) => {
      if (!(error instanceof Error && /could not be downloaded/.test(error.message))) throw error;
      const why = await takeRuntime(folder);
      if (why !== null) return { why: `${error.message}; ${why}` };
      Deno.env.set("PATH", `${join(folder, "bin")}:${Deno.env.get("PATH") ?? ""}`);
      Deno.env.set("DENORT_BIN", join(folder, "denort"));
      // The old compiler does not look into the system's store by itself.
      if (Deno.env.get("DENO_TLS_CA_STORE") === undefined) {
        Deno.env.set("DENO_TLS_CA_STORE", "mozilla,system");
      }
      return await compile(main, join(folder, "compiled"));
    });
    if (typeof program !== "string") return { results: [], skipped: [`deno compile: ${program.why}`] };
    const version = await versionOf(program, folder);
    if (denoRefusal({ version, standalone: true }) === null) return await smokeBinary(program);
    const refusal = await refuses(program, folder);
    const filled = join(folder, "filled.ts");
    await Deno.writeTextFile(filled, fillIn(main));
    const outcome = await smokeBinary(await compile(filled, join(folder, "filled")));
    return { ...outcome, results: [refusal, ...outcome.results] };
  } finally {
    for (const [name, value] of variables) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await Deno.remove(folder, { recursive: true });
  }
}

async function compile(entry: string, out: string): Promise<string> {
  return await build({ engine: "deno", target: null, entry, out, commit: "smoke" });
}

/** Puts a compiler and an empty runtime into the folder. Gives why that could not be done, null where it could. */
async function takeRuntime(folder: string): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "no runtime is known for this system";
  const wheels = join(folder, "wheels");
  for (const [name, version] of [COMPILER, CARRIER].map((each) => each.split("=="))) {
    const args = ["-m", "pip", "download", "-q", "--no-deps", "-d", wheels, `${name}==${version}`];
    if (!await succeeds("python3", args)) return `${name} ${version} could not be downloaded`;
  }
  for await (const { name } of Deno.readDir(wheels)) {
    const args = ["-m", "zipfile", "-e", join(wheels, name), join(folder, "unpacked")];
    if (!await succeeds("python3", args)) return `${name} could not be unpacked`;
  }
  const scripts = async (name: string, version: string) =>
    await Deno.readFile(
      join(folder, "unpacked", `${name.replaceAll("-", "_")}-${version}.data`, "scripts", name),
    );
  await Deno.mkdir(join(folder, "bin"));
  await Deno.writeFile(join(folder, "bin", "deno"), await scripts("deno", "2.6.10"), { mode: 0o755 });
  const runtime = cutOff(await scripts("bids-validator-deno", "2.4.1"));
  if (runtime === null) return `${CARRIER} is not of the form that was expected`;
  await Deno.writeFile(join(folder, "denort"), runtime, { mode: 0o755 });
  return null;
}

/** What was appended to the runtime ends with a magic number, a hash and its length, and begins with a word of Deno's. */
function cutOff(program: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const trailer = program.length - 16;
  if (view.getUint32(trailer, true) !== 0x501e) return null;
  const size = Number(view.getBigUint64(trailer + 8, true));
  const begins = (at: number) => new TextDecoder().decode(program.subarray(at, at + 8)) === "d3n0l4nd";
  const at = [trailer - size, program.length - size].find(begins);
  return at === undefined ? null : program.subarray(0, at);
}

/** A main module for the old runtime: without the words that it puts before a child's arguments, and with a lock. */
function fillIn(main: string): string {
  return `
import process from "node:process";
if (process.argv[2] === "run" && process.argv[3] === "-A") process.argv.splice(2, 2);
Object.defineProperty(Deno, "version", { value: { ...Deno.version, deno: "2.7.8" } });
const libc = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;
const openSync = Deno.openSync;
Deno.openSync = (path, options) => Object.assign(openSync(path, options), { path });
Deno.FsFile.prototype.tryLock = async function () {
  // O_RDWR | O_CLOEXEC, then LOCK_EX | LOCK_NB.
  const file = libc.open(new TextEncoder().encode(this.path + "\\0"), 0o2000002);
  if (libc.flock(file, 6) !== 0) {
    libc.close(file);
    return false;
  }
  const close = this.close;
  this.close = () => {
    libc.close(file);
    close.call(this);
  };
  return true;
};
await import(${JSON.stringify(toFileUrl(main).href)});
`;
}

async function versionOf(program: string, folder: string): Promise<string> {
  const { stdout, stderr } = await runHere(program, folder, ["--version", "--verbose"]);
  return /\(deno (\S+?),|this is (\S+)/.exec(stdout + stderr)?.slice(1).find((each) => each !== undefined) ??
    "";
}

async function refuses(program: string, folder: string): Promise<Result> {
  const { code, stdout, stderr } = await runHere(program, folder, ["up", "demo"]);
  const isRight = code === 2 && /foster needs Deno \d/.test(stderr) && !/deno (?:run|upgrade)/.test(stderr);
  const name = "a compiled program refuses a runtime that is too old";
  console.log(`${isRight ? "ok     " : "FAILED "} ${name}`);
  return { name, failure: isRight ? null : `${code} ${stdout}${stderr}` };
}

async function runHere(program: string, folder: string, args: readonly string[]) {
  const env = { ...Deno.env.toObject(), FOSTER_STATE_DIR: join(folder, "state") };
  return await run({ command: [program], env, folder, isSlow: false }, args);
}

async function succeeds(command: string, args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}
