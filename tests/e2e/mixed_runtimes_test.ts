import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { binary, Foster, type Runner, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

const PAIRS: [first: Runner, second: Runner][] = [
  ["scoped", "all"],
  ["all", "scoped"],
  ...(binary === null ? [] : [
    ["scoped", { binary }],
    [{ binary }, "scoped"],
    [{ binary }, "all"],
  ] satisfies [Runner, Runner][]),
];

for (const [first, second] of PAIRS) {
  const title = `${nameOf(first)} and ${nameOf(second)}`;

  Deno.test(`a server that one foster started is another's to adopt, show and stop: ${title}`, async () => {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto") });
    // The demo is started by a command of the one runtime that the other would not use.
    for (const name of ["t", "demo"]) {
      const up = (await foster.expect(0, ["up", name, "--json"], { runner: first })).row();
      const again = (await foster.expect(0, ["up", name, "--json"], { runner: second })).row();
      assertEquals([again.startup_path, again.adoption, again.pid], ["adopted", "managed", up.pid]);
      const shown = (await foster.expect(0, ["status", name, "--json"], { runner: second })).row();
      assertEquals([shown.state, shown.process], ["ready", "ours"]);
      const down = (await foster.expect(0, ["down", name, "--json"], { runner: second })).row();
      assertEquals([down.state, down.recovered?.killed], ["stopped", [up.pid]]);
    }
    assertEquals(await foster.servers(), []);
  });

  Deno.test(`the start lock of one foster keeps another out: ${title}`, async () => {
    await using foster = await Foster.create();
    const go = join(foster.folder, "go");
    await foster.define({ slow: tiny("auto", { options: [`--await-file=${go}`] }) });
    const starting = foster.start(["up", "slow", "--json"], { runner: first });
    const servers = join(foster.stateDir, "servers");
    const key = await until("the spawn", async () => {
      try {
        for await (const { name } of Deno.readDir(servers)) {
          if ((await foster.record(name))?.launcher_pid != null) return name;
        }
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      return null;
    });
    const guarded = await foster.expect(18, ["up", "slow", "--no-wait", "--json"], { runner: second });
    assertEquals(guarded.row().key, key);
    const waiting = foster.start(["up", "slow", "--json"], { runner: second });
    await Deno.writeTextFile(go, "");
    const also = await waiting.finish();
    assertEquals(also.code, 0, also.stderr);
    const [waited] = JSON.parse(also.stdout).servers;
    const { code, stdout } = await starting.finish();
    assertEquals(code, 0);
    assertEquals([waited.startup_path, waited.pid], ["adopted", JSON.parse(stdout).servers[0].pid]);
    const events = await foster.events(key);
    assertEquals(events.filter((each) => each.event === "spawned").length, 1, JSON.stringify(events));
  });

  Deno.test(`down of one foster ends the start of another: ${title}`, async () => {
    await using foster = await Foster.create();
    await foster.define({ slow: tiny("auto", { options: ["--delay=20000"] }) });
    const starting = foster.start(["up", "slow"], { runner: first });
    await until("the child", async () => (await foster.servers()).length === 1);
    await foster.expect(0, ["down", "slow"], { runner: second });
    const { code, stderr } = await starting.finish(5000);
    assertEquals(code, 1);
    assertMatch(stderr, /stopped by foster down/);
    assertEquals(await foster.servers(), []);
  });
}

function nameOf(runner: Runner): string {
  return typeof runner === "object" ? "the binary" : `deno run (${runner})`;
}
