import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { bunPath } from "../../scripts/bun_tool.ts";
import { missing, unless } from "../skip.ts";

const fixture = (name: string) => fromFileUrl(new URL(`../fixtures/${name}`, import.meta.url));

const expected = {
  facts: {
    kind: "seen",
    facts: {
      pid: 4321,
      parentPid: 1,
      groupId: 4321,
      userId: 501,
      zombie: false,
      startTime: "ps:Wed Nov 18 12:18:41 2026.654321",
      startedAt: 1_795_004_321_654.321,
    },
  },
  gone: { kind: "gone" },
  list: [1, 4321],
  path: "/opt/node",
  folder: "/Users/mia/docs",
  arguments: { executable: "/opt/node", argv: ["node", "a b"], environment: ["PATH=/bin", "A=1"] },
  refused: null,
  usage: { residentBytes: 5_000_000_000, cpuMs: 1000 },
  listening: [{ port: 8080, address: "127.0.0.1" }],
  others: [],
};

const noCompiler = Deno.build.os === "linux" ? await missing("cc") : "it loads a library as Linux does";

const engines: { name: string; command(): Promise<string[]> }[] = [
  {
    name: "Deno",
    command: () => Promise.resolve([Deno.execPath(), "run", "-q", "-A", "--no-check"]),
  },
  { name: "Bun", command: async () => [await bunPath()] },
];
for (const { name, command } of engines) {
  Deno.test(
    unless(noCompiler, `${name} calls macOS' libSystem with the arguments that it takes`),
    async () => {
      const folder = await Deno.makeTempDir({ prefix: "foster-libsystem-" });
      try {
        const library = join(folder, "libSystem.B.dylib");
        const args = ["-shared", "-fPIC", "-O1", "-o", library, fixture("libsystem.c")];
        const compiled = await new Deno.Command("cc", { args }).output();
        assertEquals(new TextDecoder().decode(compiled.stderr), "");
        const [program = "", ...before] = await command();
        const { stdout, stderr } = await new Deno.Command(program, {
          args: [...before, fixture("libsystem_caller.ts")],
          env: { LD_LIBRARY_PATH: folder },
        }).output();
        assertEquals(new TextDecoder().decode(stderr), "");
        assertEquals(JSON.parse(new TextDecoder().decode(stdout)), expected);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}
