/**
 * The packages for npm: one for each system with the binary in it, and a launcher that takes the one that npm chose.
 *
 * @module
 */
import { fileOf, type PackedFile, tarGz } from "./archive.ts";
import { about, isWindows, PACKAGE, type Target, targets } from "./targets.ts";

export interface NpmPackage {
  name: string;
  file: string;
  bytes: Uint8Array;
}

/** The binary's own package; `readme` is what the registry shows. */
export function npmBinary(
  target: Target,
  { version, homepage, binary }: { version: string; homepage: string; binary: Uint8Array },
): NpmPackage {
  const { suffix, os, cpu, libc } = target.npm;
  const name = `${PACKAGE}-${suffix}`;
  const program = isWindows(target) ? "foster.exe" : "foster";
  const manifest = {
    name,
    version,
    description: `${about.summary} (the program for ${suffix})`,
    license: about.license,
    ...origin(homepage),
    os: [os],
    cpu: [cpu],
    ...libc === undefined ? {} : { libc: [libc] },
    files: [program],
    preferUnplugged: true,
  };
  return packed(name, version, [
    manifestOf(manifest),
    { path: `package/${program}`, bytes: binary, executable: true },
  ]);
}

/** What people install. It names only systems of `built`. */
export function npmLauncher(
  { version, homepage, readme, license, built }: {
    version: string;
    homepage: string;
    readme: string;
    license: string;
    built: readonly Target[];
  },
): NpmPackage {
  const manifest = {
    name: PACKAGE,
    version,
    description: about.summary,
    license: about.license,
    ...origin(homepage),
    bin: { foster: "foster.js", [PACKAGE]: "foster.js" },
    files: ["foster.js"],
    engines: { node: ">=18" },
    keywords: ["mcp", "modelcontextprotocol", "supervisor", "gateway"],
    optionalDependencies: Object.fromEntries(built.map(({ npm }) => [`${PACKAGE}-${npm.suffix}`, version])),
  };
  return packed(PACKAGE, version, [
    manifestOf(manifest),
    fileOf("package/foster.js", launcher(), true),
    fileOf("package/README.md", readme),
    fileOf("package/LICENSE", license),
  ]);
}

/** npm believes a provenance only of a package that names its repository. */
function origin(homepage: string) {
  return { homepage, repository: { type: "git", url: `git+${homepage}.git` } };
}

function manifestOf(manifest: unknown): PackedFile {
  return fileOf("package/package.json", `${JSON.stringify(manifest, null, 2)}\n`);
}

function packed(name: string, version: string, files: PackedFile[]): NpmPackage {
  return { name, file: `${name}-${version}.tgz`, bytes: tarGz(files) };
}

/** Plain JavaScript for any Node: finds the binary, runs it, ends as it ends. */
function launcher(): string {
  const systems = [...new Set(targets.map(({ npm }) => `${npm.os}-${npm.cpu}`))];
  return `#!/usr/bin/env node
"use strict";
const { spawn } = require("node:child_process");

const system = process.platform + "-" + process.arch;
const file = process.platform === "win32" ? "foster.exe" : "foster";

function find(name) {
  try {
    return require.resolve("${PACKAGE}-" + name + "/" + file);
  } catch {
    return null;
  }
}

// npm installs the package of one libc; one that does not know of libc installs both.
function isMusl() {
  return process.platform === "linux" && !process.report.getReport().header.glibcVersionRuntime;
}

const glibc = find(system);
const musl = process.platform === "linux" ? find(system + "-musl") : null;
const program = glibc && musl ? (isMusl() ? musl : glibc) : glibc || musl;

if (program === null) {
  const known = ${JSON.stringify(systems)};
  console.error(
    known.includes(system)
      ? "foster: the package ${PACKAGE}-" + system + " is missing: install ${PACKAGE} again, without --omit=optional"
      : "foster: there is no program for " + system + ", only for " + known.join(", "),
  );
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// The terminal sends Ctrl-C to both; what is sent to this process alone is passed on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error("foster: " + error.message);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  for (const each of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeAllListeners(each);
  process.kill(process.pid, signal);
});
`;
}
