import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { directAccess } from "../../src/host/engine/node/processes.ts";
import { decideUse, foldersInUse, parseLsofNames } from "../../src/host/using.ts";
import type { DirectAccess, ReaderTools } from "../../src/host/system/reader.ts";

const folder = "/cache/builds-v0/.tmpA";

const traces: { what: string; paths?: string[]; texts?: string[]; busy: boolean }[] = [
  { what: "the folder itself", paths: [folder], busy: true },
  { what: "a file in it", paths: [`${folder}/bin/python`], busy: true },
  { what: "the folder, deleted since", paths: [`${folder} (deleted)`], busy: true },
  { what: "a folder whose name begins like it", paths: [`${folder}B`, `${folder}.lock`], busy: false },
  { what: "the folder above", paths: ["/cache/builds-v0"], busy: false },
  { what: "no file at all", busy: false },
  { what: "its program on the command line", texts: [`${folder}/bin/python\0-c\0pass`], busy: true },
  { what: "its name in the middle of a text", texts: [`x(b"${folder}")`], busy: true },
  { what: "its name at the end of a variable", texts: [`A=1\0VIRTUAL_ENV=${folder}`], busy: true },
  { what: "a longer name in a text", texts: [`VIRTUAL_ENV=${folder}2\0PATH=${folder}-x/bin`], busy: false },
  { what: "a longer name, then its own", texts: [`${folder}2:${folder}:`], busy: true },
];

for (const { what, paths = [], texts = [], busy } of traces) {
  Deno.test(`decideUse() says ${busy ? "busy" : "free"} for ${what}`, () => {
    const expected = busy ? { kind: "busy", pids: [7] } : { kind: "free" };
    assertEquals<unknown>(decideUse(folder, [{ pid: 7, paths, texts }]), expected);
  });
}

Deno.test("parseLsofNames() reads pids and names, bytes of other alphabets too", () => {
  assertEquals(parseLsofNames("p12\nfcwd\nn/a b\nf3\nn/caf\\xc3\\xa9/x\np13\nn/dev/null\npx\nn/lost\n"), [
    { pid: 12, paths: ["/a b", "/café/x"], texts: [] },
    { pid: 13, paths: ["/dev/null"], texts: [] },
  ]);
});

const run = (await createDenoHost()).processes.run;
const refused = () => {
  throw new Error("not permitted");
};
const shielded: DirectAccess = {
  ...directAccess,
  readLink: refused,
  readBytes: refused,
  readWhole: refused,
  listNames: () => ["1"],
};

Deno.test("foldersInUse() does not know where processes refuse even their command line", async () => {
  const uses = await foldersInUse([folder], { system: "linux", tools: { run, direct: shielded } });
  assertEquals(uses.get(folder), { kind: "unknown", why: "not permitted" });
});

Deno.test("foldersInUse() does not know where a helper is missing", async () => {
  const missing: ReaderTools["run"] = (command) => Promise.reject(new Error(`there is no ${command}`));
  const uses = await foldersInUse([folder], { system: "darwin", tools: { run: missing, direct: null } });
  assertEquals(uses.get(folder), { kind: "unknown", why: "there is no lsof" });
});

Deno.test("foldersInUse() does not know where a helper prints nothing", async () => {
  const mute: ReaderTools["run"] = () => Promise.resolve({ code: 0, signal: null, stdout: "", stderr: "" });
  for (const system of ["linux", "darwin"] as const) {
    const uses = await foldersInUse([folder], { system, tools: { run: mute, direct: null } });
    assertEquals(uses.get(folder)?.kind, "unknown", system);
  }
});

Deno.test("foldersInUse() leaves it to Windows", async () => {
  const uses = await foldersInUse([folder], { system: "windows", tools: { run: refused, direct: null } });
  assertEquals(uses.get(folder), { kind: "free" });
});

const ways: { way: string; direct: DirectAccess | null }[] = [
  { way: "directly", direct: directAccess },
  { way: "through helper programs", direct: null },
];

const children: { how: string; command: (folder: string) => Deno.Command }[] = [
  {
    how: "stands in it",
    command: (cwd) => piped("cat", { cwd }),
  },
  {
    how: "has a file of it open",
    command: (cwd) => piped("sh", { cwd, args: ["-c", "exec 3<file; cd /; exec cat"] }),
  },
  {
    how: "names it in its environment",
    command: (folder) => piped("cat", { env: { VIRTUAL_ENV: folder } }),
  },
  {
    how: "names it on its command line",
    command: (folder) => piped("sh", { args: ["-c", "read line; echo $line; read line", folder] }),
  },
];

for (const { way, direct } of ways) {
  for (const { how, command } of children) {
    Deno.test({
      name: `foldersInUse() sees ${way} that a process ${how}`,
      ignore: Deno.build.os !== "linux",
      async fn() {
        const root = await Deno.realPath(await Deno.makeTempDir());
        const [used, idle] = [join(root, ".tmpA"), join(root, ".tmpB")];
        await Deno.mkdir(used);
        await Deno.mkdir(idle);
        await Deno.writeTextFile(join(used, "file"), "");
        const child = command(used).spawn();
        try {
          await echo(child);
          const uses = await foldersInUse([used, idle], { system: "linux", tools: { run, direct } });
          assertEquals(uses.get(used), { kind: "busy", pids: [child.pid] });
          assertEquals(uses.get(idle), { kind: "free" });
        } finally {
          child.kill("SIGKILL");
          await child.status;
          await child.stdin.abort().catch(() => {});
          await child.stdout.cancel().catch(() => {});
          await Deno.remove(root, { recursive: true });
        }
      },
    });
  }
}

/** Once `cat` has answered, it runs with all that it was given. */
async function echo(child: Deno.ChildProcess): Promise<void> {
  const [writer, reader] = [child.stdin.getWriter(), child.stdout.getReader()];
  await writer.write(new TextEncoder().encode("ready\n"));
  assertEquals(new TextDecoder().decode((await reader.read()).value), "ready\n");
  writer.releaseLock();
  reader.releaseLock();
}

function piped(program: string, options: Deno.CommandOptions): Deno.Command {
  return new Deno.Command(program, { ...options, stdin: "piped", stdout: "piped" });
}
