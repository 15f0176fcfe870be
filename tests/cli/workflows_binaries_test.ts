import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { checksums, releaseTargets } from "../../scripts/build.ts";
import { VERSION } from "../../src/version.ts";
import { unless } from "../skip.ts";

const dist = Deno.env.get("FOSTER_DIST") ?? fromFileUrl(new URL("../../dist", import.meta.url));

interface Format {
  pattern: RegExp;
  magic: readonly number[];
  /** Where the header says which machine it is for, and what stands there. */
  machine(header: DataView): number;
  machines: Record<"x64" | "arm64", number>;
}

const formats: readonly Format[] = [
  {
    pattern: /-linux-/,
    magic: [0x7f, 0x45, 0x4c, 0x46],
    machine: (header) => header.getUint16(18, true),
    machines: { x64: 62, arm64: 183 },
  },
  {
    pattern: /-macos-/,
    magic: [0xcf, 0xfa, 0xed, 0xfe],
    machine: (header) => header.getUint32(4, true),
    machines: { x64: 0x01000007, arm64: 0x0100000c },
  },
  {
    pattern: /-windows-/,
    magic: [0x4d, 0x5a],
    machine: (header) => header.getUint16(header.getUint32(0x3c, true) + 4, true),
    machines: { x64: 0x8664, arm64: 0xaa64 },
  },
];

const names = Object.values(releaseTargets).flat().map(({ name }) => name);
const built = new Set(await Array.fromAsync(Deno.readDir(dist), ({ name }) => name).catch(() => []));

const there = names.filter((name) => built.has(name));
const BINARIES = unless(
  there.length > 0 ? null : "none was built: deno task build --all",
  "every published binary that was built is a program of its system and carries version and commit",
);
Deno.test(BINARIES, async (t) => {
  for (const name of there) {
    await t.step(name, async () => {
      const bytes = await Deno.readFile(join(dist, name));
      const format = formats.find(({ pattern }) => pattern.test(name));
      assert(format !== undefined);
      assertEquals([...bytes.subarray(0, format.magic.length)], format.magic);
      const wanted = format.machines[name.includes("-arm64") ? "arm64" : "x64"];
      assertEquals(format.machine(new DataView(bytes.buffer)), wanted);
      assertMatch(stampIn(bytes), new RegExp(`^foster-build ${VERSION.replaceAll(".", "\\.")} [0-9a-z-]+$`));
    });
  }
});

const SUMS = unless(
  built.has("SHA256SUMS") ? null : "it was not written: deno task build --all",
  "SHA256SUMS holds the checksum of every published binary that is there",
);
Deno.test(SUMS, async () => {
  assertEquals(await Deno.readTextFile(join(dist, "SHA256SUMS")), await checksums(dist));
});

/** The stamp, also where the program keeps its text with two bytes a character. */
function stampIn(bytes: Uint8Array): string {
  const start = "foster-build ";
  const at = indexOf(bytes, new TextEncoder().encode(start));
  if (at === -1) return "none";
  const text = new TextDecoder("latin1").decode(bytes.subarray(at, at + 100));
  return text.slice(0, text.search(/["'`\0]/));
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  const [first = 0] = wanted;
  for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
