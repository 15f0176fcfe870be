/**
 * Packages the binaries of `deno task build --all`: `deno task package [--from DIR] [--out DIR] [--base URL] [--homepage URL] [--fast]`.
 * Archives, packages for npm and PyPI, manifests for Homebrew, winget and scoop, a bill of materials and SHA256SUMS; what
 * was not built is left out, and said. `--fast` compresses archives little: to try, not to publish.
 *
 * @module
 */
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { sha256Hex } from "../../src/base/hash.ts";
import { VERSION } from "../../src/version.ts";
import { fileOf, type PackedFile, tar, zip } from "./archive.ts";
import { type Archive, homebrew, type Locked, sbom, scoop, winget } from "./manifests.ts";
import { npmBinary, npmLauncher } from "./npm.ts";
import { isWindows, type Target, targets, withWholeLinks } from "./targets.ts";
import { wheel } from "./wheel.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));

const { values } = parseArgs({
  options: {
    from: { type: "string", default: join(project, "dist") },
    out: { type: "string", default: join(project, "dist", "packages") },
    base: { type: "string", default: `https://example.invalid/foster/v${VERSION}` },
    homepage: { type: "string", default: "https://example.invalid/foster" },
    fast: { type: "boolean", default: false },
  },
});

const out = resolve(values.out);
/** More is too much to download for what foster is. npm, wheels and zip know deflate only. */
const ARCHIVE_GOAL_BYTES = 45e6;
const DEFLATED_GOAL_BYTES = 60e6;
const sums: string[] = [];

/** Writes a file of the release and remembers its sum. */
async function write(name: string, bytes: Uint8Array): Promise<Archive> {
  const path = join(out, name);
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeFile(path, bytes);
  const sum = sha256Hex(bytes);
  sums.push(`${sum}  ${name}\n`);
  const limit = /^(?:npm|pypi)\/|\.zip$/.test(name) ? DEFLATED_GOAL_BYTES : ARCHIVE_GOAL_BYTES;
  const large = !values.fast && bytes.length > limit ? `  more than ${limit / 1e6} MB` : "";
  console.log(`${(bytes.length / 1e6).toFixed(1).padStart(6)} MB  ${name}${large}`);
  return { file: basename(name), sha256: sum };
}

async function xz(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const args = ["-c", "-T0", values.fast ? "-0" : "-9"];
  const child = new Deno.Command("xz", { args, stdin: "piped", stdout: "piped" }).spawn();
  const [, { success, stdout }] = await Promise.all([
    new Blob([bytes]).stream().pipeTo(child.stdin),
    child.output(),
  ]);
  if (!success) throw new Error("xz failed");
  return stdout;
}

async function main(): Promise<number> {
  const read = async (file: string) => await Deno.readTextFile(join(project, file));
  const [readme, license, lock] = await Promise.all(["README.md", "LICENSE", "deno.lock"].map(read));
  const { homepage } = values;
  const common = {
    version: VERSION,
    homepage,
    readme: withWholeLinks(readme ?? "", { homepage, version: VERSION }),
    license: license ?? "",
  };
  await Deno.remove(out, { recursive: true }).catch(() => {});
  const built: Target[] = [];
  const archives = new Map<string, Archive>();
  for (const target of targets) {
    const binary = await Deno.readFile(join(values.from, target.binary)).catch(() => null);
    if (binary === null) {
      console.error(`${target.binary} was not built: left out`);
      continue;
    }
    built.push(target);
    const name = `foster-${VERSION}-${target.archive}`;
    const program = isWindows(target) ? "foster.exe" : "foster";
    const files: PackedFile[] = [
      { path: program, bytes: binary, executable: true },
      fileOf("README.md", common.readme),
      fileOf("LICENSE", common.license),
    ];
    archives.set(target.archive, await write(name, isWindows(target) ? zip(files) : await xz(tar(files))));
    // Explorer, winget and scoop read nothing better than deflate; Windows' own tar does.
    if (isWindows(target)) await write(name.replace(/\.zip$/, ".tar.xz"), await xz(tar(files)));
    const npm = npmBinary(target, { version: VERSION, homepage, binary });
    await write(`npm/${npm.file}`, npm.bytes);
    const own = wheel(target, { ...common, binary });
    await write(`pypi/${own.file}`, own.bytes);
  }
  if (built.length === 0) {
    console.error(`no binaries in ${values.from}: deno task build --all makes them`);
    return 1;
  }
  const launcher = npmLauncher({ ...common, built });
  await write(`npm/${launcher.file}`, launcher.bytes);
  const release = { version: VERSION, base: values.base, homepage, archives };
  const text = (content: string) => new TextEncoder().encode(content);
  await write("homebrew/foster-mcp.rb", text(homebrew(release)));
  await write("scoop/foster-mcp.json", text(scoop(release)));
  for (const [name, content] of winget(release)) await write(`winget/${name}`, text(content));
  const locked: Locked = JSON.parse(lock ?? "{}").npm;
  const { dependencies } = JSON.parse(await read("package.json"));
  await write("foster.spdx.json", text(sbom({ version: VERSION, locked, roots: Object.keys(dependencies) })));
  await Deno.writeTextFile(join(out, "SHA256SUMS"), sums.sort().join(""));
  return 0;
}

if (import.meta.main) Deno.exit(await main());
