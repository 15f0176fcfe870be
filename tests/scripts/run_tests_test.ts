import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { conditionOf, readSkipped, readTally, SAME_IN_EVERY_ENGINE } from "../../scripts/run_tests.ts";

Deno.test("readTally() reads the last line of a run", () => {
  const ended = (line: string) => readTally(`a ... ok (1ms)\n\n${line}\n\n`);
  assertEquals(ended("ok | 2 passed (1 step) | 0 failed (6ms)"), { passed: 2, failed: 0, skipped: 0 });
  assertEquals(ended("FAILED | 12 passed (1 step) | 3 failed | 4 ignored (1 step) (2m6s)"), {
    passed: 12,
    failed: 3,
    skipped: 4,
  });
  assertEquals(ended("error: Module not found"), null);
});

Deno.test("a skipped test is named, with the condition that it states", async () => {
  const folder = await Deno.makeTempDir();
  const source = [
    'Deno.test({ name: "b <is> here", ignore: 1 > 0,',
    "  fn() {} });",
    "Deno.test({",
    '  name: "c",',
    '  ignore: Deno.build.os !== "plan9",',
    "  fn() {},",
    "});",
    'Deno.test("d", () => {});',
  ].join("\n");
  await Deno.writeTextFile(`${folder}/some_test.ts`, source);
  const report = `${folder}/report.xml`;
  const args = ["test", "-q", "--no-config", "--no-check", `--junit-path=${report}`, "some_test.ts"];
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals([code, readTally(new TextDecoder().decode(stdout))], [0, {
    passed: 1,
    failed: 0,
    skipped: 2,
  }]);
  const skipped = readSkipped(await Deno.readTextFile(report));
  assertEquals(skipped, [
    { name: "b <is> here", file: "some_test.ts", line: 1 },
    { name: "c", file: "some_test.ts", line: 3 },
  ]);
  assertEquals(skipped.map(({ line }) => conditionOf(source, line)), ["1 > 0", 'Deno.build.os !== "plan9"']);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what is left out from source is there", async () => {
  const project = new URL("../../", import.meta.url);
  for (const path of SAME_IN_EVERY_ENGINE) {
    assert((await Deno.stat(fromFileUrl(new URL(path, project)))).isFile, path);
  }
});
