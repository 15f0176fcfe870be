import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Foster, type Result } from "./harness.ts";
import { tiny } from "./tiny.ts";

const IN_ENVIRONMENT = "planted-environment-5d1f";
const IN_DEFINITION = "planted-definition-93ac";
const IN_ARGUMENT = "planted-argument-c07e";

/** Every file that holds one of the secrets. */
async function filesWithSecret(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) found.push(...await filesWithSecret(path));
    else if (/planted-/.test(await Deno.readTextFile(path))) found.push(path);
  }
  return found;
}

Deno.test("no environment value reaches the state folder or any output", async () => {
  await using foster = await Foster.create();
  const define = async (extra: string[]) =>
    await foster.define({
      keeper: tiny("auto", {
        options: ["--token=${env:PLANTED_ARGUMENT}", ...extra],
        env: { API_KEY: IN_DEFINITION, COPY: "${env:PLANTED_ENVIRONMENT}" },
      }),
      broken: tiny("auto", {
        options: ["--token=${env:PLANTED_ARGUMENT}", "--exit=2"],
        env: { API_KEY: IN_DEFINITION },
      }),
    });
  await define([`--environment-file=${join(foster.folder, "given.json")}`]);
  const env = { PLANTED_ENVIRONMENT: IN_ENVIRONMENT, PLANTED_ARGUMENT: IN_ARGUMENT };
  const results: Result[] = [];
  const run = async (...args: string[]) => results.push(await foster.run(args, { env }));

  await run("up", "keeper", "--verbose");
  const given = JSON.parse(await Deno.readTextFile(join(foster.folder, "given.json")));
  assertEquals([given.env.API_KEY, given.env.COPY], [IN_DEFINITION, IN_ENVIRONMENT]);
  assertEquals(given.args.includes(`--token=${IN_ARGUMENT}`), true);

  await run("up", "broken", "--json");
  await run("up", "broken", "--verbose");
  await run("status", "keeper", "--json");
  await run("status");
  await run("ps", "--json");
  await run("probe", "keeper", "--json");
  await run("logs", "keeper", "--events", "--json");
  await run("logs", "broken", "--crash");
  await define(["--changed"]);
  await run("up", "keeper", "--json");
  assertEquals(await filesWithSecret(foster.stateDir), []);
  await run("restart", "keeper", "--json");
  await run("down", "--all", "--json");

  assertEquals(await filesWithSecret(foster.stateDir), []);
  for (const { stdout, stderr } of results) {
    assertEquals((stdout + stderr).match(/planted-[a-z]+-[0-9a-f]+/g), null);
  }
});
