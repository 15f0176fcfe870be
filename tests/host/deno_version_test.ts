import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { denoRefusal } from "../../src/host/engine/deno/version.ts";

const cases: [version: string, refused: boolean][] = [
  ["2.7.8", false],
  ["2.7.9+abc1234", false],
  ["2.8.0-rc.1", false],
  ["2.9.6", false],
  ["2.10.0", false],
  ["3.0.0", false],
  ["2.7.7", true],
  ["2.6.10", true],
  ["1.46.3", true],
  ["unknown", false],
];
for (const [version, refused] of cases) {
  Deno.test(`denoRefusal() ${refused ? "refuses" : "takes"} Deno ${version}`, () => {
    assertEquals(denoRefusal({ version, standalone: false }) !== null, refused);
  });
}

Deno.test("denoRefusal() never tells the user of a compiled program to run or upgrade Deno", () => {
  const said = denoRefusal({ version: "2.6.10", standalone: true });
  assertEquals(
    said,
    "foster needs Deno 2.7.8 or later, and this is 2.6.10\n  use a foster that was built with a later one",
  );
});

Deno.test("foster ends with 2 under a Deno that is too old, before it does anything", async () => {
  const folder = await Deno.makeTempDir({ prefix: "foster-old-" });
  try {
    const entry = join(folder, "main.ts");
    const main = new URL("../../main.ts", import.meta.url).href;
    await Deno.writeTextFile(
      entry,
      `Object.defineProperty(Deno, "version", { value: { ...Deno.version, deno: "2.6.10" } });
       await import("${main}");`,
    );
    const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-q",
        "-A",
        "--no-check",
        "--config",
        config,
        entry,
        "ps",
        "--state-dir",
        join(folder, "state"),
      ],
    }).output();
    assertStringIncludes(
      new TextDecoder().decode(stderr),
      "foster needs Deno 2.7.8 or later, and this is 2.6.10",
    );
    assertEquals([code, stdout.length], [2, 0]);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["main.ts"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
