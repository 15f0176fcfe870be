import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { connectTo, fixture, killServer, nextServer, notes, textOf } from "../fixtures/connect_client.ts";
import { Foster } from "./harness.ts";
import type { ClientOptions } from "@modelcontextprotocol/client";

/** A gate runs a short version; FOSTER_CHAOS_CALLS=1000 FOSTER_CHAOS_KILLS=20 the long one. */
const CALLS = Number(Deno.env.get("FOSTER_CHAOS_CALLS") ?? 300);
const KILLS = Number(Deno.env.get("FOSTER_CHAOS_KILLS") ?? 3);
const AT_ONCE = 8;

const REVISIONS: Record<string, ClientOptions> = {
  older: {},
  newer: { versionNegotiation: { mode: "auto" } },
};

for (const [revision, options] of Object.entries(REVISIONS)) {
  Deno.test(`foster connect answers every call once when the server ends again and again (${revision} revision)`, () =>
    answerEveryCall(options));
}

async function answerEveryCall(options: ClientOptions): Promise<void> {
  await using foster = await Foster.create();
  const callsFile = join(foster.folder, "calls");
  await foster.define({ chaos: fixture({ options: [`--calls-file=${callsFile}`] }) });
  await using connected = await connectTo(foster, ["chaos", "--idle", "1s"], options);
  const { client } = connected;
  const [key] = await keys(foster);
  let sent = 0;
  const answered: number[] = [];
  const failed: number[] = [];
  const otherFailures: string[] = [];

  async function work(): Promise<void> {
    while (sent < CALLS) {
      const n = sent++;
      if (n % 3 === 0) {
        await client.readResource({ uri: "test://thing" }).catch((error) =>
          otherFailures.push(String(error))
        );
        continue;
      }
      try {
        const result = await client.callTool({ name: "count", arguments: { n } });
        assertEquals(textOf(result), String(n));
        answered.push(n);
      } catch (error) {
        assert(/restarted while tools\/call/.test(String(error)), String(error));
        failed.push(n);
      }
    }
  }

  async function kill(): Promise<void> {
    for (let kills = 1; kills <= KILLS; kills++) {
      while (sent < CALLS * kills / (KILLS + 1)) await new Promise((resolve) => setTimeout(resolve, 1));
      // Killed, or ended in good order: then its last words come first.
      const isKilled = kills % 2 === 1;
      const pid = isKilled ? await killServer(foster, key) : Number((await foster.record(key))?.pid);
      if (!isKilled) await foster.expect(0, ["restart", "chaos"]);
      await nextServer(foster, { key, pid });
    }
  }

  await Promise.all([kill(), ...Array.from({ length: AT_ONCE }, work)]);
  assertEquals(otherFailures, []);
  assertEquals(connected.drops(), 0);
  assertEquals(connected.errors, []);
  const calls = Array.from({ length: CALLS }, (_, n) => n).filter((n) => n % 3 !== 0);
  assertEquals([...answered, ...failed].sort((a, b) => a - b), calls);
  const ran = (await notes(callsFile)).filter((line) => line.startsWith("count "));
  assertEquals(new Set(ran).size, ran.length, "a call ran twice");
  for (const n of answered) assert(ran.includes(`count ${n}`));
  assert(failed.length <= KILLS * AT_ONCE, `${failed.length} calls failed`);
}

async function keys(foster: Foster): Promise<[string]> {
  for await (const { name } of Deno.readDir(join(foster.stateDir, "servers"))) return [name];
  throw new Error("there is no server");
}
