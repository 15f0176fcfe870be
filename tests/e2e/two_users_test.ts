/** What a second user of the machine sees of the first one's servers, and can't do to them. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { missing, unless } from "../skip.ts";
import { binary, Foster, isAlive, type RunOptions } from "./harness.ts";
import { tiny } from "./tiny.ts";

const NOBODY = 65534;

/** Only root becomes another user, who reads no module cache of root's. */
async function whyNotTwo(): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "only root on Linux becomes another user";
  if (binary === null) return "the other user needs a binary: FOSTER_BIN names none";
  return await missing("setpriv");
}

/** Another user, with a folder and a copy of the binary of its own. */
class OtherUser implements AsyncDisposable {
  private constructor(readonly foster: Foster, readonly folder: string) {}

  static async create(foster: Foster): Promise<OtherUser> {
    const folder = await Deno.makeTempDir({ prefix: "foster-other-" });
    await Deno.copyFile(binary ?? "", join(folder, "foster"));
    await Deno.chown(folder, NOBODY, NOBODY);
    // As far as the other user comes on most machines: to the folder itself.
    await Deno.chmod(foster.folder, 0o755);
    return new OtherUser(foster, folder);
  }

  async define(servers: Record<string, unknown>): Promise<void> {
    await Deno.writeTextFile(join(this.folder, "foster.json"), JSON.stringify({ servers }));
  }

  async run(...args: string[]): Promise<{ code: number; said: string }> {
    const env = { HOME: this.folder, FOSTER_STATE_DIR: join(this.folder, "state") };
    const options: RunOptions = { cwd: this.folder, env };
    const program = join(this.folder, "foster");
    const who = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
    const running = this.foster.startProgram("setpriv", [...who, program, ...args], options);
    const { code, stdout, stderr } = await running.finish();
    return { code, said: stdout + stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test(
  unless(await whyNotTwo(), "a second user neither uses nor ends nor reads the servers of the first"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto") });
    const { pid, port } = (await foster.expect(0, ["up", "t", "--supervise", "--json"])).row();
    await using other = await OtherUser.create(foster);
    await other.define({ t: { command: "sleep", args: ["60"], port } });

    const up = await other.run("up", "t");
    assertEquals(up.code, 14, up.said);
    assertMatch(up.said, /a process that can't be seen from here \(another user's\?\)/);
    assertEquals((await other.run("down", "t")).code, 0);
    assertStringIncludes((await other.run("ps")).said, "No servers.");
    const doctor = await other.run("doctor", "ports");
    assertStringIncludes(
      doctor.said,
      `port ${port} of "t" is held by a process that can't be seen from here`,
    );

    const theirs = ["--state-dir", foster.stateDir];
    for (const verb of [["up", "t"], ["down", "--all"], ["serve", "--stop"], ["serve", "--detach"]]) {
      const refused = await other.run(...verb, ...theirs);
      assertEquals(refused.code, 2, `${verb.join(" ")}: ${refused.said}`);
      assertMatch(refused.said, /belongs to another user \(0\)/);
    }
    for (const verb of [["ps"], ["status", "t"], ["logs", "t"]]) {
      const refused = await other.run(...verb, ...theirs);
      assert(refused.code !== 0 && refused.code !== 70, `${verb.join(" ")}: ${refused.said}`);
    }
    assert(await isAlive(pid));
    assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().pid, pid);
  },
);
