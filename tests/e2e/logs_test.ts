import { assert, assertEquals, assertMatch } from "@std/assert";
import { Foster, isAlive, until } from "./harness.ts";
import { noInterrupt } from "../skip.ts";
import { tiny } from "./tiny.ts";

Deno.test("logs shows the last lines, follows across a restart, and is readable after down", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--say=a|b|c|d", "--tick=40"] }) });
  const first = (await foster.expect(0, ["up", "t", "--json"])).row();

  const following = foster.start(["logs", "t", "-f", "-n", "100"]);
  await following.stdoutLine(new RegExp(`^tick 2 of ${first.pid}$`));
  const second = (await foster.expect(0, ["restart", "t", "--json"])).row();
  await following.stdoutLine(new RegExp(`^tick 3 of ${second.pid}$`));
  assert(following.stdout.split("\n").filter((line) => line === "d").length === 2, following.stdout);

  await foster.expect(0, ["down", "t"]);
  const lines = (await foster.expect(0, ["logs", "t", "-n", "3"])).stdout.trimEnd().split("\n");
  assertEquals(lines.length, 3);
  for (const line of lines) assertMatch(line, new RegExp(`^tick \\d+ of ${second.pid}$`));
  const json = (await foster.expect(0, ["logs", "t", "-n", "2", "--json"])).stdout.trimEnd().split("\n");
  assertEquals(json.map((line) => JSON.parse(line).type), ["log", "log"]);

  // It goes on following while nothing runs, into the next start.
  const third = (await foster.expect(0, ["up", "t", "--json"])).row();
  await following.stdoutLine(new RegExp(`^tick 1 of ${third.pid}$`));
  following.kill("SIGINT");
  assertEquals((await following.finish(5000)).code, noInterrupt === null ? 130 : 1);
});

Deno.test("logs --events tells what happened, in order, and stays after down", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto") });
  const { pid } = (await foster.expect(0, ["up", "t", "--json"])).row();
  await foster.expect(0, ["up", "t"]);
  await foster.expect(0, ["down", "t"]);
  const text = (await foster.expect(0, ["logs", "t", "--events", "--json"])).stdout.trimEnd().split("\n");
  const events = text.map((line) => JSON.parse(line));
  assertEquals(events.map((each) => each.event), ["spawning", "spawned", "ready", "adopted", "stopped"]);
  for (const event of events) {
    assertEquals(event.type, "event");
    assert(!Number.isNaN(Date.parse(event.at)));
    if (event.event !== "spawning") assertEquals(event.pid, pid);
  }
  assertMatch(events[1].start_token, /^(?:proc|ps|cim):/);
  assertMatch(
    (await foster.expect(0, ["logs", "t", "--events"])).stdout,
    new RegExp(`  spawned  pid ${pid}\n`),
  );
});

Deno.test("logs --crash keeps the last words across later starts", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--say=goodbye", "--exit=4"] }) });
  await foster.expect(10, ["up", "t"]);
  await foster.define({ t: tiny("auto", { options: ["--say=hello"] }) });
  await foster.expect(0, ["up", "t"]);
  assertMatch((await foster.expect(0, ["logs", "t", "--crash"])).stdout, /goodbye/);
  assertMatch((await foster.expect(0, ["logs", "t"])).stdout, /hello/);
  await foster.expect(0, ["down", "t"]);
  assertMatch((await foster.expect(0, ["logs", "t", "--crash"])).stdout, /goodbye/);
});

Deno.test("logs --crash has the last words of a server that nobody watched, before and after its next start", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--say=goodbye"] }) });
  const { pid } = (await foster.expect(0, ["up", "t", "--json"])).row();
  Deno.kill(pid, "SIGKILL");
  await until("its end", async () => !await isAlive(pid));
  assertMatch((await foster.expect(0, ["logs", "t", "--crash"])).stdout, /goodbye/);
  await foster.define({ t: tiny("auto", { options: ["--say=hello"] }) });
  await foster.expect(0, ["up", "t"]);
  assertMatch((await foster.expect(0, ["logs", "t", "--crash"])).stdout, /goodbye/);
  const events = (await foster.expect(0, ["logs", "t", "--events"])).stdout;
  assertMatch(events, new RegExp(`  crashed  pid ${pid}  its process is gone\\n`));
});
