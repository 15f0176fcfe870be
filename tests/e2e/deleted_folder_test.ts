/** The caller's working folder is gone: every verb works that needs none. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { commandOf, Foster } from "./harness.ts";
import { notLinux, unless } from "../skip.ts";
import { tiny } from "./tiny.ts";

/** Deno itself does not start without a working folder, whatever it is to run. */
const isDeno = Deno.env.get("FOSTER_BIN") === undefined;
const why = notLinux ??
  (isDeno ? "Deno does not start in a folder that is gone: FOSTER_BIN names a binary" : null);

Deno.test(unless(why, "from a folder that is gone every verb works that needs none"), async () => {
  await using foster = await Foster.create();
  const config = await foster.define({ t: tiny("auto") });
  const { key, pid } = (await foster.expect(0, ["up", "t", "--json"])).row();
  const gone = join(foster.folder, "gone");
  const run = async (args: string[]) => {
    await Deno.mkdir(gone);
    const script = 'cd "$0" && rmdir "$0" && exec "$@"';
    const running = foster.startProgram("sh", ["-c", script, gone, ...commandOf("default"), ...args]);
    const { code, stdout, stderr } = await running.finish();
    return { code, stdout, said: `${stdout}\n${stderr}` };
  };
  const done = async (args: string[]) => {
    const { code, stdout, said } = await run(args);
    assertEquals(code, 0, `${args.join(" ")}\n${said}`);
    return stdout;
  };
  assertMatch(await done(["--version"]), /^foster \d/);
  assertMatch(await done(["--help"]), /up/);
  assertMatch(await done(["ps"]), new RegExp(`${key}`));
  assertEquals(JSON.parse(await done(["status", "t", "--json"])).servers[0].pid, pid);
  await done(["status", key, "--config", config]);
  await done(["logs", key]);
  await done(["presets"]);
  await done(["top", "--once"]);
  await done(["up", "t", "--config", config]);
  const without = await run(["up"]);
  assert(without.code !== 0 && without.code !== 1 && without.code !== 70, without.said);
  assertMatch(without.said, /folder/);
  const failed = await run(["up", "--json"]);
  assertEquals(JSON.parse(failed.stdout).error.exit_code, failed.code);
  await done(["down", "--all"]);
  assertEquals(await foster.servers(), []);
});
