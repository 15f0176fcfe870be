/**
 * Puts the program of a release in the place of this one: checked by its sum, tried, then moved there in one step.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { satisfies, valid } from "semver";
import { sha256Hex } from "../base/hash.ts";
import { type Host, HostError, withinReach } from "../host/host.ts";
import { VERSION } from "../version.ts";
import { downloadFile, type Release, ReleaseError } from "./release.ts";

type UpdateHost = Pick<Host, "files" | "net" | "clock" | "processes" | "random" | "system" | "engine">;

export type UpdateResult =
  | { kind: "updated"; from: string; to: string; path: string }
  | { kind: "current"; version: string }
  /** The release is an earlier one, and nobody asked for that. */
  | { kind: "older"; version: string };

export interface UpdateOptions {
  /** Real path of this program. */
  program: string;
  release: Release;
  /** A version that the user named: an earlier one then, too. */
  isNamed: boolean;
  signal: AbortSignal;
  onProgress(text: string): void;
}

const LIMIT_BYTES = 400 * 1024 * 1024;
const TRIAL_MS = 30_000;
const USUAL_MODE = 0o755;

/** @throws ReleaseError, HostError, or the signal's reason: nothing was changed then */
export async function update(host: UpdateHost, options: UpdateOptions): Promise<UpdateResult> {
  const { program, release, isNamed } = options;
  const early = release.version === null ? null : decide(release.version, { isNamed });
  if (early !== null) return early;
  await refuseUnwritable(host, program);
  const name = await binaryName(host);
  if (release.version === null && release.sums.get(name) === await sumOf(host, program)) {
    return { kind: "current", version: VERSION };
  }
  const bytes = await downloadFile(host, release, {
    name,
    limitBytes: LIMIT_BYTES,
    signal: options.signal,
    onProgress: (received, total) => options.onProgress(progressText(name, received, total)),
  });
  return await exchange(host, bytes, options);
}

/** Null where it is to be installed. */
export function decide(
  offered: string,
  { isNamed, present = VERSION }: { isNamed: boolean; present?: string },
): Exclude<UpdateResult, { kind: "updated" }> | null {
  if (offered === present) return { kind: "current", version: present };
  if (isNamed || isNewer(offered, present)) return null;
  return { kind: "older", version: offered };
}

/** By semver; a version that is none is not newer than anything. */
export function isNewer(version: string, than: string): boolean {
  return valid(version) !== null && valid(than) !== null &&
    satisfies(version, `>${than}`, { includePrerelease: true });
}

/** The name that the build gives the program of this system. */
export async function binaryName(
  { files, system, engine }: Pick<Host, "files" | "system" | "engine">,
): Promise<string> {
  const named = { linux: "linux", darwin: "macos", windows: "windows" }[system];
  const cpu = /^(?:arm64|aarch64)$/.test(engine.arch) ? "arm64" : "x64";
  const prefix = engine.name === "deno" ? "foster-deno" : "foster";
  const isMusl = system === "linux" && engine.name === "bun" && await usesMusl(files);
  return `${prefix}-${named}-${cpu}${isMusl ? "-musl" : ""}${system === "windows" ? ".exe" : ""}`;
}

/** A system of glibc may have musl beside it. */
async function usesMusl(files: Host["files"]): Promise<boolean> {
  const names = async (folder: string) =>
    (await withinReach(files.list(folder), null) ?? []).map(({ name }) => name);
  const [lib, lib64] = await Promise.all([names("/lib"), names("/lib64")]);
  const isGlibc = [...lib, ...lib64].some((name) => name.startsWith("ld-linux"));
  return !isGlibc && lib.some((name) => name.startsWith("ld-musl"));
}

async function sumOf({ files }: UpdateHost, program: string): Promise<string | null> {
  const bytes = await files.readSlice(program, 0, LIMIT_BYTES);
  return bytes === null ? null : sha256Hex(bytes);
}

/** Asked before a long download. @throws ReleaseError */
async function refuseUnwritable({ files, random }: UpdateHost, program: string): Promise<void> {
  const trial = `${program}.${random.hex(6)}.trial`;
  try {
    await files.writeNew(trial, "", 0o600);
    await files.remove(trial);
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    throw new ReleaseError(
      `${dirname(program)} can't be written: ${cause.message}`,
      "update as the user who installed it there, or install foster into a folder of yours",
      { cause },
    );
  }
}

function progressText(name: string, received: number, total: number | null): string {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  return `${name}: ${megabytes(received)}${total === null ? "" : ` of ${megabytes(total)}`}`;
}

/** The new program stands beside the old one until it has shown that it runs here, and that it is what it should be. */
async function exchange(host: UpdateHost, bytes: Uint8Array, options: UpdateOptions): Promise<UpdateResult> {
  const { program, release, isNamed } = options;
  const { files, random, system } = host;
  const mode = (await files.stat(program))?.mode ?? USUAL_MODE;
  const mark = random.hex(6);
  // Windows starts nothing without the extension.
  const draft = system === "windows" ? `${program}.${mark}.new.exe` : `${program}.${mark}.new`;
  try {
    await files.writeAtomic(draft, bytes, mode);
    const to = await tried(host, draft);
    if (release.version !== null && to !== release.version) {
      throw new ReleaseError(`what ${release.base} calls ${release.version} is ${to}: nothing was changed`);
    }
    const early = decide(to, { isNamed });
    if (early !== null) return early;
    // A running program may not be replaced on Windows, but may be moved out of the way.
    if (system === "windows") await files.rename(program, `${program}.${mark}.old`);
    await files.rename(draft, program);
    if (system === "windows") await removeOld(host, program);
    return { kind: "updated", from: VERSION, to, path: program };
  } finally {
    await withinReach(files.remove(draft), false);
  }
}

/** Earlier programs that ran when they were replaced; those that still run stay. */
async function removeOld({ files }: UpdateHost, program: string): Promise<void> {
  const folder = dirname(program);
  for (const { name } of await withinReach(files.list(folder), null) ?? []) {
    if (!name.startsWith(`${basename(program)}.`) || !name.endsWith(".old")) continue;
    await withinReach(files.remove(join(folder, name)), false);
  }
}

/** The version that the new program says. @throws ReleaseError where it does not run */
async function tried({ processes }: UpdateHost, draft: string): Promise<string> {
  const ran = await processes.run(draft, ["--version"], { timeoutMs: TRIAL_MS }).catch((cause) => {
    if (!(cause instanceof HostError)) throw cause;
    throw new ReleaseError(`the new program does not run here: ${cause.message}`, "nothing was changed", {
      cause,
    });
  });
  const [, version] = /^foster (\S+)\s*$/.exec(ran.stdout) ?? [];
  if (ran.code !== 0 || version === undefined) {
    throw new ReleaseError("the new program does not run here", "nothing was changed");
  }
  return version;
}
