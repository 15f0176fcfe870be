import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { hmacSha256Hex, sha256Hex } from "../../src/base/hash.ts";
import type { ContractCase } from "./contract.ts";

export const timeCases: readonly ContractCase[] = [
  {
    // Keys, proofs and cached answers of one engine are the other's, too.
    name: "both engines hash alike, a text as its UTF-8 bytes",
    async run() {
      assertEquals(sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
      assertEquals(sha256Hex("ü"), sha256Hex(new TextEncoder().encode("ü")));
      assertEquals(
        hmacSha256Hex("key", "The quick brown fox jumps over the lazy dog"),
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
      );
      await Promise.resolve();
    },
  },
  {
    name: "sleep() waits as long as it was told",
    real: true,
    async run({ clock }) {
      const [monotonic, now] = [clock.monotonic(), clock.now()];
      await clock.sleep(30);
      assert(clock.monotonic() - monotonic >= 29);
      assert(clock.now() - now >= 28);
    },
  },
  {
    name: "sleep() throws the signal's reason when it is aborted, before or meanwhile",
    async run({ clock }) {
      const [before, meanwhile] = [new AbortController(), new AbortController()];
      before.abort(new Error("before"));
      assertEquals(await messageOf(clock.sleep(60_000, before.signal)), "before");
      const sleeping = messageOf(clock.sleep(60_000, meanwhile.signal));
      meanwhile.abort(new Error("meanwhile"));
      assertEquals(await sleeping, "meanwhile");
    },
  },
  {
    name: "every() calls back again and again until it is stopped",
    real: true,
    async run({ clock }) {
      let ticks = 0;
      const third = Promise.withResolvers<void>();
      const stop = clock.every(5, () => {
        ticks += 1;
        if (ticks === 3) third.resolve();
      });
      await Promise.all([third.promise, clock.sleep(15)]);
      stop();
      const seen = ticks;
      await clock.sleep(30);
      assertEquals(ticks, seen);
    },
  },
  {
    name: "deadline() aborts with a TimeoutError when the time is over",
    real: true,
    async run({ clock }) {
      const signal = clock.deadline(20);
      assertEquals(signal.aborted, false);
      await messageOf(clock.sleep(60_000, signal));
      assertEquals(signal.reason.name, "TimeoutError");
    },
  },
  {
    name: "deadline() follows its parent, before and meanwhile",
    async run({ clock }) {
      const parent = new AbortController();
      const child = clock.deadline(60_000, parent.signal);
      const grandchild = clock.deadline(60_000, child);
      const sleeping = messageOf(clock.sleep(60_000, grandchild));
      parent.abort(new Error("parent"));
      assertEquals(await sleeping, "parent");
      assertEquals(clock.deadline(60_000, parent.signal).reason.message, "parent");
    },
  },
  {
    name: "random gives hex of the asked length and numbers in [0, 1)",
    async run({ random }) {
      await Promise.resolve();
      assert(/^[0-9a-f]{32}$/.test(random.hex(16)));
      assertNotEquals(random.hex(16), random.hex(16));
      const numbers = Array.from({ length: 100 }, () => random.unit());
      assert(numbers.every((each) => each >= 0 && each < 1));
      assert(new Set(numbers).size > 90);
    },
  },
  {
    name: "env gives one variable and a copy of all",
    async run({ env }) {
      await Promise.resolve();
      const all = env.all();
      assertEquals(all["PATH"], env.get("PATH"));
      assertEquals(env.get("NO_SUCH_VARIABLE_HERE"), undefined);
      all["NO_SUCH_VARIABLE_HERE"] = "x";
      assertEquals(env.get("NO_SUCH_VARIABLE_HERE"), undefined);
    },
  },
];

/** Message of what the promise is rejected with, empty where it is not. */
async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
