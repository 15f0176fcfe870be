/**
 * Runs the binaries for musl and for arm64 on a Linux machine that has neither: in a folder with that libc and busybox,
 * and where the processor is another one through qemu. All of it comes from Debian's and PyPI's packages, stays in a
 * temporary folder and is seen in a namespace of its own only; nothing is installed.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { build, releaseTargets } from "../build.ts";
import type { Outcome, Result, Subject } from "./steps.ts";

interface Machine {
  /** The end of the binary's name, `foster-linux-…`. */
  name: string;
  /** Debian's and Python's words for the processor. */
  debian: "amd64" | "arm64";
  python: "x86_64" | "aarch64";
  libc: "glibc" | "musl";
}

const machines: readonly Machine[] = [
  { name: "x64-musl", debian: "amd64", python: "x86_64", libc: "musl" },
  { name: "arm64", debian: "arm64", python: "aarch64", libc: "glibc" },
  { name: "arm64-musl", debian: "arm64", python: "aarch64", libc: "musl" },
];

/** The first release of Debian whose musl is new enough for Bun. */
const RELEASE = "trixie";
const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

export async function smokeMachines(names: readonly string[], dist: string | null): Promise<Outcome> {
  const wanted = machines.filter(({ name }) => names.length === 0 || names.includes(name));
  const all = (why: string): Outcome => ({
    results: [],
    skipped: wanted.map(({ name }) => `foster-linux-${name}: ${why}`),
  });
  const why = await whyNot();
  if (why !== null) return all(why);
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-machines-" }));
  try {
    const packages = await new Packages(folder).open();
    if (packages === null) return all("Debian's packages could not be reached");
    const outcome: Outcome = { results: [], skipped: [] };
    for (const machine of wanted) {
      const root = join(folder, machine.name);
      const missing = await layOut(machine, { root, packages });
      if (missing !== null) outcome.skipped.push(`foster-linux-${machine.name}: ${missing}`);
      else outcome.results.push(...await smokeIn(machine, { root, packages, dist }));
    }
    return outcome;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function whyNot(): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "this is no x86_64 Linux";
  for (const program of ["apt-get", "dpkg-deb", "unshare", "python3"]) {
    if (!await succeeds("sh", ["-c", `command -v ${program}`])) return `there is no ${program}`;
  }
  const namespace = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc";
  if (!await succeeds("unshare", ["-Urm", "sh", "-c", namespace])) {
    return "no namespace with programs for other processors can be made (Linux 6.7 and later can)";
  }
  return null;
}

/** Debian's packages of one release, without touching what the machine itself knows of packages. */
class Packages {
  readonly folder: string;
  readonly #options: string[];

  constructor(folder: string) {
    this.folder = join(folder, "packages");
    const apt = join(this.folder, "apt");
    this.#options = [
      `Dir::State=${apt}`,
      `Dir::State::lists=${apt}/lists`,
      `Dir::State::status=${apt}/status`,
      `Dir::Cache=${apt}/cache`,
      `Dir::Etc::sourcelist=${apt}/sources.list`,
      "Dir::Etc::sourceparts=-",
      "APT::Architectures::=amd64",
      "APT::Architectures::=arm64",
      "Acquire::Languages=none",
      // The folder is this user's alone.
      "APT::Sandbox::User=root",
    ].flatMap((option) => ["-o", option]);
  }

  /** Null where there is nothing to fetch from. */
  async open(): Promise<Packages | null> {
    const apt = join(this.folder, "apt");
    await Deno.mkdir(join(apt, "lists", "partial"), { recursive: true });
    await Deno.mkdir(join(apt, "cache", "archives", "partial"), { recursive: true });
    await Deno.writeTextFile(join(apt, "status"), "");
    const targets = await outputOf("apt-get", ["indextargets", "--format", "$(REPO_URI)"]);
    const mirror = targets.split("\n").find((line) => /\/debian\/?$/.test(line));
    if (mirror === undefined) return null;
    await Deno.writeTextFile(
      join(apt, "sources.list"),
      `deb [signed-by=${KEYS}] ${mirror} ${RELEASE} main\n`,
    );
    return await succeeds("apt-get", [...this.#options, "update"]) ? this : null;
  }

  /** Unpacks packages into a folder. */
  async unpack(names: readonly string[], to: string): Promise<boolean> {
    const debs = join(this.folder, names.join(" ").replaceAll(/[^a-z0-9]+/g, "_"));
    await Deno.mkdir(debs, { recursive: true });
    const got = await succeeds("apt-get", [...this.#options, "download", ...names], debs);
    if (!got) return false;
    for await (const { name } of Deno.readDir(debs)) {
      if (!await succeeds("dpkg-deb", ["-x", join(debs, name), to])) return false;
    }
    return true;
  }
}

/** Makes the folder that a machine's programs see as the whole system. Gives what is missing for it. */
async function layOut(
  { debian, python, libc }: Machine,
  { root, packages }: { root: string; packages: Packages },
): Promise<string | null> {
  for (const name of ["usr/bin", "usr/lib", "proc", "dev", "tmp", "root", "work"]) {
    await Deno.mkdir(join(root, name), { recursive: true });
  }
  for (const name of ["bin", "lib"]) await Deno.symlink(`usr/${name}`, join(root, name));
  const names = libc === "musl" ? ["musl"] : ["libc6", "libgcc-s1", "libstdc++6"];
  const wanted = ["busybox-static", ...names].map((name) => `${name}:${debian}`);
  if (!await packages.unpack(wanted, root)) return `no ${wanted.join(", ")}`;
  for (const name of ["sh", "cat", "rm", "mkfifo", "ps", "kill"]) {
    await Deno.symlink("busybox", join(root, "usr/bin", name));
  }
  if (libc === "musl") {
    await Deno.symlink(`ld-musl-${python}.so.1`, join(root, `usr/lib/libc.musl-${python}.so.1`));
    if (!await takeLibstdcxx(python, root)) return "no libstdc++ for musl";
  }
  if (debian === "amd64" || await packages.unpack(["qemu-user:amd64"], join(root, "..", "qemu"))) return null;
  return "no qemu";
}

/** Debian has no libstdc++ for musl; numpy's wheel brings one along. */
async function takeLibstdcxx(python: Machine["python"], root: string): Promise<boolean> {
  const folder = join(root, "..", `numpy-${python}`);
  const platform = [
    "--only-binary=:all:",
    "--platform",
    `musllinux_1_2_${python}`,
    "--python-version",
    "3.12",
  ];
  const download = ["-m", "pip", "download", "-q", "--no-deps", "-d", folder, ...platform, "numpy"];
  if (!await succeeds("python3", download)) return false;
  for (const { name } of [...Deno.readDirSync(folder)]) {
    if (!await succeeds("python3", ["-m", "zipfile", "-e", join(folder, name), folder])) return false;
  }
  const libraries = join(folder, "numpy.libs");
  for (const { name } of [...Deno.readDirSync(libraries)]) {
    if (!/^lib(?:stdc\+\+|gcc_s)-/.test(name)) continue;
    const to = join(root, `usr/lib/${python}-linux-musl`);
    await Deno.copyFile(join(libraries, name), join(to, name));
    if (name.startsWith("libstdc++")) await Deno.symlink(name, join(to, "libstdc++.so.6"));
  }
  return true;
}

async function smokeIn(
  machine: Machine,
  { root, dist }: { root: string; packages: Packages; dist: string | null },
): Promise<Result[]> {
  const name = `foster-linux-${machine.name}`;
  const built = dist === null ? await buildFor(name, join(root, "..", name)) : join(dist, name);
  await Deno.copyFile(built, join(root, "foster"));
  await Deno.chmod(join(root, "foster"), 0o755);
  const subject: Subject = {
    name,
    command: ["/usr/sbin/chroot", root, "/foster"],
    program: "/foster",
    env: { PATH: "/usr/bin:/bin", HOME: "/root", FOSTER_STATE_DIR: "/work/state" },
    folder: join(root, "work"),
    inside: "/work",
    isSlow: machine.debian === "arm64",
  };
  const results = join(root, "results.json");
  const main = fromFileUrl(new URL("main.ts", import.meta.url));
  const setUp = [
    `mount --rbind /dev "${root}/dev"`,
    ...machine.debian === "amd64" ? [] : [
      "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc",
      `printf '%s' '${
        emulation(join(root, "../qemu/usr/bin/qemu-aarch64"))
      }' >/proc/sys/fs/binfmt_misc/register`,
    ],
    `mount --rbind /proc "${root}/proc"`,
    `exec "${Deno.execPath()}" run -q -A "${main}" --inside "$0" --results "${results}"`,
  ];
  const child = new Deno.Command("unshare", {
    args: ["-Urm", "sh", "-euc", setUp.join("\n"), JSON.stringify(subject)],
  }).spawn();
  await child.status;
  const text = await Deno.readTextFile(results).catch(() => null);
  return text === null ? [{ name, failure: "it did not come to its end" }] : JSON.parse(text);
}

/** A line of binfmt_misc: programs for arm64 are given to qemu, which is opened now and found in any folder. */
function emulation(qemu: string): string {
  const magic = "7f454c460201010000000000000000000200b700";
  const mask = "ffffffffffffff00fffffffffffffffffeffffff";
  const escaped = (hex: string) => hex.replaceAll(/../g, "\\x$&");
  return `:qemu-aarch64:M::${escaped(magic)}:${escaped(mask)}:${qemu}:FP`;
}

async function buildFor(name: string, out: string): Promise<string> {
  const target = releaseTargets.bun.find((each) => each.name === name)?.target ?? null;
  const entry = fromFileUrl(new URL("../../main.ts", import.meta.url));
  return await build({ engine: "bun", target, entry, out, commit: "smoke" });
}

async function succeeds(command: string, args: string[], cwd?: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, cwd, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

async function outputOf(command: string, args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
