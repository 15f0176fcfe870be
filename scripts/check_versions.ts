/**
 * Versions stand in deno.json; what repeats them for others has to agree: package.json, for Bun in a checkout,
 * src/version.ts, and the workflows. Exit code 1 where anything differs.
 *
 * @module
 */
import { bunVersion, denoVersion } from "./bun_tool.ts";

const project = new URL("..", import.meta.url);
const read = async (file: string) => await Deno.readTextFile(new URL(file, project));

/** Packages of tests and scripts alone: the program does without them. */
const ofTestsOnly = new Set(["@std/assert", "@std/path", "playwright-core", "ws"]);

interface Files {
  deno: { version: string; imports: Record<string, string> };
  pkg: { version: string; dependencies: Record<string, string> };
  /** `VERSION` of src/version.ts. */
  version: string;
  /** Text of the workflows, which name the versions of Deno and Bun. */
  workflows: readonly string[];
  /** Text of what installs them from npm. */
  installs: readonly string[];
}

/** What differs, a line each. */
export function differences({ deno, pkg, version, workflows, installs }: Files): string[] {
  const found: string[] = [];
  const same = (what: string, theirs: string | undefined, ours: string | undefined) => {
    if (theirs !== ours) found.push(`${what} is ${theirs ?? "missing"}, not ${ours ?? "needed"}`);
  };
  same("src/version.ts", version, deno.version);
  same("package.json: version", pkg.version, deno.version);
  const wanted = new Map(
    Object.entries(deno.imports).filter(([name]) => !ofTestsOnly.has(name))
      .map(([name, specifier]) => [name, specifier.slice(`npm:${name}@`.length)]),
  );
  for (const name of new Set([...wanted.keys(), ...Object.keys(pkg.dependencies)])) {
    same(`package.json: ${name}`, pkg.dependencies[name], wanted.get(name));
  }
  for (const text of workflows) {
    same("a workflow's BUN_VERSION", /BUN_VERSION: (\S+)/.exec(text)?.[1], bunVersion);
    same("a workflow's DENO_VERSION", /DENO_VERSION: (\S+)/.exec(text)?.[1], denoVersion);
  }
  for (const text of installs) {
    for (const [, name, installed] of text.matchAll(/\b(deno|bun)@(\d[\w.-]*)/g)) {
      same(`an installed ${name}`, installed, name === "bun" ? bunVersion : denoVersion);
    }
  }
  return found;
}

if (import.meta.main) {
  const [deno, pkg, version, ci, release, ...installs] = await Promise.all(
    [
      "deno.json",
      "package.json",
      "src/version.ts",
      ".github/workflows/ci.yml",
      ".github/workflows/release.yml",
      "Dockerfile",
      ".ci/run",
    ].map(read),
  );
  const found = differences({
    deno: JSON.parse(deno ?? ""),
    pkg: JSON.parse(pkg ?? ""),
    version: /VERSION: string = "([^"]+)"/.exec(version ?? "")?.[1] ?? "",
    workflows: [ci ?? "", release ?? ""],
    installs,
  });
  for (const line of found) console.error(line);
  Deno.exit(found.length === 0 ? 0 : 1);
}
