import { assertEquals } from "@std/assert";
import { STATE, typed } from "./command_line.ts";

Deno.test("up --github-output is refused outside GitHub Actions before anything is started", async () => {
  for (const env of [{}, { GITHUB_OUTPUT: "" }] as Record<string, string>[]) {
    const { code, stdout, stderr, host } = await typed(["up", "demo", "--github-output"], { env });
    assertEquals([code, stdout], [2, ""]);
    assertEquals(stderr, "GITHUB_OUTPUT is not set: --github-output is for GitHub Actions\n");
    assertEquals(host.files.paths().filter((path) => path.startsWith(STATE)), []);
  }
});
