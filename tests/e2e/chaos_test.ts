/**
 * A short run of `deno task chaos`. FOSTER_CHAOS_SEED repeats one that failed.
 *
 * @module
 */
import { callsOverRestarts } from "../../scripts/chaos/calls.ts";
import { killAnywhere, killSupervisor, numbers, raceVerbs } from "../../scripts/chaos/chaos.ts";
import { assert, assertEquals } from "@std/assert";
import { notAsked, unless } from "../skip.ts";

const seed = Number(Deno.env.get("FOSTER_CHAOS_SEED") ?? Math.floor(Math.random() * 2 ** 31));

Deno.test(unless(notAsked, "one up makes one server after foster was killed anywhere"), async () => {
  await killAnywhere({ count: 12, seed });
});

Deno.test(unless(notAsked, "one up makes one server after verbs raced each other"), async () => {
  await raceVerbs({ count: 6, seed });
});

Deno.test(
  unless(notAsked, "a supervisor that is killed at any moment loses no server and doubles none"),
  async () => {
    await killSupervisor({ count: 6, seed });
  },
);

Deno.test(
  unless(notAsked, "calls over restarts of their server and of the supervisor are neither lost nor doubled"),
  async () => {
    await callsOverRestarts({ count: 50, restarts: 4, supervisorKills: 2, seed });
  },
);

Deno.test("numbers() gives the same numbers from 0 to 1 for the same seed", () => {
  const take = (from: number) => Array.from({ length: 5 }, numbers(from));
  assertEquals(take(7), take(7));
  assert(take(7).every((value) => value >= 0 && value < 1));
  assert(take(7).join() !== take(8).join());
});
