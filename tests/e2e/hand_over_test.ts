/**
 * A supervised server that starts itself anew: its new self is followed, not ended and not counted as a crash.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { endServer, RESTART } from "../fixtures/run_kit.ts";
import { exists, Foster, isAlive, until } from "./harness.ts";

const REBORN = fromFileUrl(new URL("../fixtures/reborn_server.py", import.meta.url));

const manners: readonly { who: string; options: readonly string[]; brand?: string[]; isSame: boolean }[] = [
  { who: "re-executes itself in its own place", options: ["--manner", "exec"], isSame: true },
  {
    who: "starts its new self and ends well",
    options: ["--manner", "child", "--code", "0"],
    brand: ["reborn_server"],
    isSame: false,
  },
  {
    who: "ends badly once its pid file names a live successor with its signature in its group",
    options: ["--manner", "child", "--code", "1", "--pid-file", "${pidFile}"],
    brand: ["reborn_server"],
    isSame: false,
  },
];

for (const { who, options, brand = [], isSame } of manners) {
  Deno.test(`a supervised server that ${who} is followed`, async () => {
    await using foster = await Foster.create();
    const trigger = join(foster.folder, "again");
    await foster.define({
      t: {
        command: "python3",
        args: [REBORN, "--port", "${port}", "--trigger", trigger, ...options],
        port: "auto",
        brand,
        ready: { check: "http", timeout: "10s", probeTimeout: "1s" },
        path: "/",
        restart: RESTART,
        stop: { grace: "1s" },
      },
    });
    const { pid, endpoint, key } = (await foster.expect(0, ["up", "t", "--supervise", "--json"])).row();
    const answering = async () => Number(await (await fetch(endpoint)).text().catch(() => "0"));
    await Deno.writeTextFile(trigger, "");
    await until("it begins anew", async () => !await exists(trigger));
    const next = await until("its new self", async () => {
      const answers = await answering().catch(() => 0);
      const record = await foster.record(key);
      return record?.state === "ready" && record.pid === answers && (isSame || answers !== pid) && answers;
    });
    const events = (await foster.events(key)).map(({ event }) => event);
    assertEquals(events.filter((event) => event === "restarting" || event === "crashed"), []);
    const status = (await foster.expect(0, ["status", "t", "--json"])).row();
    assertEquals([status.pid, status.restarts, await isAlive(next)], [next, 0, true]);
    // It is watched like any other.
    endServer(next);
    await until("a restart", async () => {
      const record = await foster.record(key);
      return record?.state === "ready" && record.pid !== next;
    });
    await foster.expect(0, ["down", "t"]);
    assert(!await isAlive(next));
  });
}
