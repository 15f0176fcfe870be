import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { scopedFlags, sourceFlags } from "../../src/host/engine/deno/permissions.ts";

const project = fromFileUrl(new URL("../..", import.meta.url));
const config = join(project, "deno.json");
const { tasks } = JSON.parse(await Deno.readTextFile(config));

Deno.test("the task foster loads what a verb needs alone, and asks for exactly the permissions that foster knows of", () => {
  const words = tasks.foster.split(" ").map((word: string) => word.replace(/^'(.*)'$/, "$1"));
  assertEquals(words, ["deno", ...sourceFlags, ...scopedFlags, "main.ts"]);
});

Deno.test("the task foster works from any folder, and foster knows which", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const env = Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => !/^(?:INIT_CWD|FOSTER_.*)$/.test(name)),
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "-q", "-c", config, "foster", "init", "--json"],
    cwd: folder,
    clearEnv: true,
    env: { ...env, FOSTER_STATE_DIR: join(folder, "state") },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const { file } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(file, join(folder, "foster.jsonc"));
  assert((await Deno.stat(file)).isFile);
  await Deno.remove(folder, { recursive: true });
});
