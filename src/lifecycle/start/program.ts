/**
 * Why a program does not start, from its file and its folder: the system itself says ENOENT to most of it.
 *
 * @module
 */
import { basename } from "node:path";
import type { FileStat, Host } from "../../host/host.ts";
import type { Explanation } from "../row.ts";

type ProgramHost = Pick<Host, "files" | "system" | "engine">;

const HEAD_BYTES = 4096;

export interface ProgramFacts {
  folder: FileStat["kind"] | null;
  program: Pick<FileStat, "kind" | "mode"> | null;
  /** The first bytes of the program's file, one character each. */
  head: string;
  /** What its first line or its header names to run it; null where it names nothing. */
  runner: { path: string; stat: Pick<FileStat, "kind" | "mode"> | null } | null;
  /** The CPU of this machine, e.g. `x86_64`. */
  machine: string;
}

/** What is wrong with the program, as it is called in messages; null where nothing is seen. Not for Windows. */
export async function programTrouble(
  host: ProgramHost,
  { command, cwd, called }: { command: string; cwd: string; called: { command: string; cwd: string } },
): Promise<Explanation | null> {
  if (host.system === "windows") return null;
  const { files } = host;
  const seen = async (path: string) => await files.stat(await realPath(host, path)).catch(() => null);
  const bytes = await files.readSlice(command, 0, HEAD_BYTES).catch(() => null) ?? new Uint8Array();
  const head = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const path = runnerIn(head);
  return explainProgram(called, {
    folder: (await seen(cwd))?.kind ?? null,
    program: await seen(command),
    head,
    runner: path === null ? null : { path, stat: await seen(path) },
    machine: host.engine.arch,
  });
}

async function realPath({ files }: ProgramHost, path: string): Promise<string> {
  return await files.realPath(path).catch(() => path) ?? path;
}

/** The program that the first line of a script, or the header of an ELF file, names. */
function runnerIn(head: string): string | null {
  if (head.startsWith("#!")) return /^#![ \t]*([^\s]+)/.exec(head)?.[1] ?? null;
  if (!head.startsWith(ELF)) return null;
  return /\/[\w./+-]*\/ld[\w.-]*\.so[\w.]*/.exec(head)?.[0] ?? null;
}

export function explainProgram(
  { command, cwd }: { command: string; cwd: string },
  { folder, program, head, runner, machine }: ProgramFacts,
): Explanation | null {
  if (folder === null) return said(`its folder ${cwd} does not exist`, `correct "cwd" in its definition`);
  if (folder !== "directory") return said(`${cwd} is no folder`, `correct "cwd" in its definition`);
  if (program === null) return said(`${command} does not exist`, `correct "command" in its definition`);
  if (program.kind !== "file") return said(`${command} is no file`, `correct "command" in its definition`);
  if (program.mode !== null && (program.mode & 0o111) === 0) {
    return said(`${command} is not executable`, `chmod +x ${command}`);
  }
  if (head.startsWith("#!")) return explainScript(command, { head, runner });
  if (head.startsWith(ELF)) {
    const built = machineOf(head);
    if (built !== null && built !== machine && machine in MACHINES) {
      return said(
        `${command} is built for ${built}, this machine is ${machine}`,
        `install it for ${machine}`,
      );
    }
    if (runner !== null && runner.stat === null) {
      return said(
        `${command} needs ${runner.path}, which does not exist: it is built for another C library`,
        "install the build for this system",
      );
    }
    return null;
  }
  const foreign = FOREIGN.find(({ magic }) => head.startsWith(magic));
  if (foreign !== undefined) {
    return said(`${command} is a program for ${foreign.system}`, "install the build for this system");
  }
  if (head === "" || MACH_O.some((magic) => head.startsWith(magic))) return null;
  return said(
    `${command} has no #! line: nothing says which program runs it`,
    `begin it with "#!/bin/sh", say, or make its interpreter the "command"`,
  );
}

function explainScript(
  command: string,
  { head, runner }: Pick<ProgramFacts, "head" | "runner">,
): Explanation | null {
  const [line = ""] = head.split("\n");
  if (line.endsWith("\r")) {
    return said(
      `the first line of ${command} ends with CRLF: the system looks for "${line.slice(2).trim()}\\r"`,
      `save the file with LF line ends`,
    );
  }
  if (runner === null) return said(`the #! line of ${command} names no program`, "name one there");
  if (runner.stat === null) {
    return said(
      `its interpreter ${runner.path}, which the first line of ${command} names, does not exist`,
      `install ${basename(runner.path)}, or correct that line`,
    );
  }
  if (runner.stat.kind !== "file" || (runner.stat.mode !== null && (runner.stat.mode & 0o111) === 0)) {
    return said(
      `its interpreter ${runner.path}, which the first line of ${command} names, is not executable`,
      "correct that line",
    );
  }
  return null;
}

function said(message: string, hint: string): Explanation {
  return { message, hint };
}

const ELF = "\x7fELF";
const MACH_O = ["\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe"];
const FOREIGN = [{ magic: "MZ", system: "Windows" }];

/** `e_machine` of the CPUs that foster itself is built for, and of some others. */
const MACHINES: Readonly<Record<string, number>> = {
  x86_64: 0x3e,
  aarch64: 0xb7,
  i686: 0x03,
  arm: 0x28,
  riscv64: 0xf3,
};

/** The CPU that an ELF file is built for. */
function machineOf(head: string): string | null {
  const isLittle = head.charCodeAt(5) !== 2;
  const [low, high] = isLittle ? [18, 19] : [19, 18];
  const number = head.charCodeAt(low) | (head.charCodeAt(high) << 8);
  return Object.entries(MACHINES).find(([, each]) => each === number)?.[0] ?? null;
}
