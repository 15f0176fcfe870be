import { assertEquals } from "@std/assert";
import { explainProgram, type ProgramFacts } from "../../src/lifecycle/start/program.ts";

const PROGRAM = { kind: "file", mode: 0o755 } as const;
const FACTS: ProgramFacts = {
  folder: "directory",
  program: PROGRAM,
  head: "#!/bin/sh\necho",
  runner: { path: "/bin/sh", stat: PROGRAM },
  machine: "x86_64",
};

/** The first bytes of an ELF file for a CPU. */
function elf(machine: number): string {
  return `\x7fELF\x02\x01\x01${"\0".repeat(9)}\x03\0${String.fromCharCode(machine & 255, machine >> 8)}`;
}

const CASES: { name: string; facts: Partial<ProgramFacts>; message: string | null }[] = [
  { name: "nothing of a script that can run", facts: {}, message: null },
  { name: "a folder that is gone", facts: { folder: null }, message: "its folder /srv does not exist" },
  { name: "a folder that is a file", facts: { folder: "file" }, message: "/srv is no folder" },
  { name: "a program that is gone", facts: { program: null }, message: "/srv/run does not exist" },
  {
    name: "a program that may not be run",
    facts: { program: { kind: "file", mode: 0o644 } },
    message: "/srv/run is not executable",
  },
  {
    name: "an interpreter that is missing",
    facts: { head: "#!/opt/py/bin/python\n", runner: { path: "/opt/py/bin/python", stat: null } },
    message: "its interpreter /opt/py/bin/python, which the first line of /srv/run names, does not exist",
  },
  {
    name: "CRLF after the interpreter, before all else",
    facts: { head: "#!/bin/sh\r\necho", runner: { path: "/bin/sh", stat: PROGRAM } },
    message: 'the first line of /srv/run ends with CRLF: the system looks for "/bin/sh\\r"',
  },
  {
    name: "a script without its first line",
    facts: { head: "echo hi\n", runner: null },
    message: "/srv/run has no #! line: nothing says which program runs it",
  },
  {
    name: "a program for another CPU",
    facts: { head: elf(0xb7), runner: null },
    message: "/srv/run is built for aarch64, this machine is x86_64",
  },
  { name: "nothing of a program for this CPU", facts: { head: elf(0x3e), runner: null }, message: null },
  {
    name: "nothing of a CPU where this machine's own name is unknown",
    facts: { head: elf(0xb7), runner: null, machine: "toaster" },
    message: null,
  },
  {
    name: "a loader of another C library",
    facts: { head: elf(0x3e), runner: { path: "/lib/ld-musl-x86_64.so.1", stat: null } },
    message:
      "/srv/run needs /lib/ld-musl-x86_64.so.1, which does not exist: it is built for another C library",
  },
  {
    name: "a program for Windows",
    facts: { head: "MZ\x90\0", runner: null },
    message: "/srv/run is a program for Windows",
  },
];

for (const { name, facts, message } of CASES) {
  Deno.test(`explainProgram() names ${name}`, () => {
    const found = explainProgram({ command: "/srv/run", cwd: "/srv" }, { ...FACTS, ...facts });
    assertEquals(found?.message ?? null, message);
  });
}
