import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  backoff,
  type Decided,
  decideRestart,
  exhaustedMessage,
  NEW_TALLY,
  type PolicyStep,
  type RestartPolicy,
  type Tally,
  type WatchEvent,
} from "../../src/supervisor/policy.ts";

const POLICY: RestartPolicy = {
  max: 3,
  misses: 3,
  backoffMs: 100,
  backoffMaxMs: 1000,
  stableAfterMs: 5000,
  liveMs: 60_000,
};

const READY: WatchEvent = { kind: "ready", now: 1000 };
const exited = (now = 2000): WatchEvent => ({ kind: "exited", now, reason: "signal SIGKILL" });
const missed: WatchEvent = { kind: "probe_failed", now: 2000, reason: "connection reset", isLive: false };
const busy = (now: number): WatchEvent => ({
  kind: "probe_failed",
  now,
  reason: "connection reset",
  isLive: true,
});
const answered = (now = 2000): WatchEvent => ({ kind: "probe_ok", now });
const failed: WatchEvent = { kind: "start_failed", reason: "exited before it was ready" };

function decide(policy: RestartPolicy, tally: Tally, event: WatchEvent, jitter = 0): Decided {
  return decideRestart(policy, tally, { event, jitter });
}

/** Sends events one after the other and gives the last step. */
function play(events: readonly WatchEvent[], policy = POLICY): Decided {
  let decided: Decided = { tally: NEW_TALLY, step: { kind: "watch" } };
  for (const event of events) decided = decide(policy, decided.tally, event);
  return decided;
}

const restart = (reason: string, attempt: number, delayMs = 0): PolicyStep => ({
  kind: "restart",
  reason,
  attempt,
  delayMs,
});
const KILLED = "exited: signal SIGKILL";
const SILENT = "probe failed: connection reset";
const UNREADY = "exited before it was ready";

interface Case {
  when: string;
  events: WatchEvent[];
  policy?: Partial<RestartPolicy>;
  step: PolicyStep;
  tally?: Partial<Tally>;
}

const CASES: Case[] = [
  { when: "it gets ready", events: [READY], step: { kind: "watch" }, tally: { readySince: 1000 } },
  { when: "it answers", events: [READY, answered()], step: { kind: "watch" } },
  { when: "it exits after having been ready", events: [READY, exited()], step: restart(KILLED, 1) },
  { when: "it misses one probe", events: [READY, missed], step: { kind: "missed", misses: 1 } },
  { when: "it misses two probes", events: [READY, missed, missed], step: { kind: "missed", misses: 2 } },
  { when: "it misses three in a row", events: [READY, missed, missed, missed], step: restart(SILENT, 1) },
  {
    when: "it misses many in a minute, and shows signs of life",
    events: [READY, busy(2000), busy(4000), busy(6000), busy(61_999)],
    step: { kind: "missed", misses: 4 },
  },
  {
    when: "it misses probes for a minute, whatever signs of life it shows",
    events: [READY, busy(2000), busy(4000), busy(62_000)],
    step: restart(SILENT, 1),
  },
  {
    when: "it shows no sign of life any more",
    events: [READY, busy(2000), busy(4000), missed],
    step: restart(SILENT, 1),
  },
  {
    when: "an answer comes in the minute of its misses",
    events: [READY, busy(2000), busy(30_000), answered(31_000), busy(61_000), busy(63_000), busy(65_000)],
    step: { kind: "missed", misses: 3 },
  },
  {
    when: "an answer comes between two misses and a third",
    events: [READY, missed, missed, answered(), missed],
    step: { kind: "missed", misses: 1 },
  },
  {
    when: "a restart came between two misses and a third",
    events: [READY, missed, missed, exited(), READY, missed],
    step: { kind: "missed", misses: 1 },
    tally: { attempts: 1 },
  },
  {
    when: "one miss is enough",
    events: [READY, missed],
    policy: { misses: 1 },
    step: restart(SILENT, 1),
  },
  { when: "the first start fails", events: [failed], step: restart(UNREADY, 1, 100) },
  { when: "starts fail in a row", events: [failed, failed, failed], step: restart(UNREADY, 3, 400) },
  {
    when: "a start fails after others that got ready",
    events: [READY, exited(), READY, exited(), failed],
    step: restart(UNREADY, 3, 100),
  },
  {
    when: "a start that got ready ends a row of failed ones",
    events: [failed, failed, READY, exited()],
    step: restart(KILLED, 3, 0),
    tally: { failedStarts: 0 },
  },
  {
    when: "the budget is used up by exits",
    events: [READY, exited(), READY, exited(), READY, exited(), READY, exited()],
    step: { kind: "give_up", reason: KILLED, attempts: 3 },
  },
  {
    when: "the budget is used up by starts that failed",
    events: [failed, failed, failed, failed],
    step: { kind: "give_up", reason: UNREADY, attempts: 3 },
  },
  {
    when: "restarts that failed and restarts that did not used it up together",
    events: [READY, exited(), failed, failed, READY, missed, missed, missed],
    step: { kind: "give_up", reason: SILENT, attempts: 3 },
  },
  {
    when: "it answered for long enough and then exits",
    events: [READY, exited(), READY, answered(6000), exited(6100)],
    step: restart(KILLED, 1),
  },
  {
    when: "it lived for long enough before a first probe was due",
    events: [READY, exited(), READY, exited(6000)],
    step: restart(KILLED, 1),
  },
  {
    when: "it was ready for a little less than long enough",
    events: [READY, exited(), READY, answered(5999), exited(5999)],
    step: restart(KILLED, 2),
  },
  {
    when: "it was there for long, but did not answer any more before it exited",
    events: [READY, exited(), READY, missed, exited(60_000)],
    step: restart(KILLED, 2),
  },
  {
    when: "there is no budget and it exits",
    events: [READY, exited()],
    policy: { max: 0 },
    step: { kind: "give_up", reason: KILLED, attempts: 0 },
  },
  {
    when: "there is no budget and it misses twice: those are free",
    events: [READY, missed, missed],
    policy: { max: 0 },
    step: { kind: "missed", misses: 2 },
  },
  {
    when: "there is no budget and it misses a third time",
    events: [READY, missed, missed, missed],
    policy: { max: 0 },
    step: { kind: "give_up", reason: SILENT, attempts: 0 },
  },
  {
    when: "there is no budget and the first start fails",
    events: [failed],
    policy: { max: 0 },
    step: { kind: "give_up", reason: UNREADY, attempts: 0 },
  },
];

for (const { when, events, policy, step, tally = {} } of CASES) {
  Deno.test(`decideRestart() answers ${step.kind} when ${when}`, () => {
    const decided = play(events, { ...POLICY, ...policy });
    assertEquals(decided.step, step);
    assertEquals({ ...decided.tally, ...tally }, decided.tally);
  });
}

Deno.test("decideRestart() counts an attempt when it is made, not when it succeeds", () => {
  assertEquals(play([READY, exited()]).tally.attempts, 1);
  assertEquals(play([READY, exited(), failed]).tally.attempts, 2);
  assertEquals(play([READY, exited(), READY]).tally.attempts, 1);
});

Deno.test("backoff() doubles up to its cap, and chance shortens it by a quarter at most", () => {
  const waits = [1, 2, 3, 4, 5, 6, 60].map((failures) => backoff(POLICY, failures, 0));
  assertEquals(waits, [100, 200, 400, 800, 1000, 1000, 1000]);
  for (const jitter of [0, 0.25, 0.5, 0.999]) {
    const wait = backoff(POLICY, 3, jitter);
    assert(wait <= 400 && wait >= 300, `${wait}`);
  }
  assertEquals(backoff({ ...POLICY, backoffMs: 0 }, 5, 0.5), 0);
});

Deno.test("decideRestart() always comes to an end of a server that never stays well, whatever happens to it", () => {
  for (let seed = 1; seed <= 400; seed++) {
    const chance = chances(seed);
    const policy: RestartPolicy = {
      max: Math.floor(chance() * 6),
      misses: 1 + Math.floor(chance() * 4),
      backoffMs: Math.floor(chance() * 500),
      backoffMaxMs: Math.floor(chance() * 120_000),
      liveMs: 60_000,
      stableAfterMs: 1 + Math.floor(chance() * 60_000),
    };
    const { restarts, waits } = playOut(policy, chance);
    assertEquals(restarts, policy.max, `seed ${seed}`);
    for (const wait of waits) assert(wait <= policy.backoffMaxMs, `seed ${seed} waits ${wait}`);
  }
});

Deno.test("decideRestart() never gives up a server that answers for long enough between its exits", () => {
  let tally = NEW_TALLY;
  for (let turn = 0; turn < 100; turn++) {
    const begins = turn * 10_000;
    for (const event of [{ kind: "ready", now: begins }, answered(begins + 5000), exited(begins + 5001)]) {
      const decided = decide(POLICY, tally, event as WatchEvent);
      assert(decided.step.kind !== "give_up");
      tally = decided.tally;
    }
  }
});

Deno.test("exhaustedMessage() has the server, the reason, the budget and the count", () => {
  const message = exhaustedMessage("docs", { reason: KILLED, attempts: 2, max: 2 });
  assertMatch(message, /^"docs" .*exited: signal SIGKILL.*budget of 2 .*exhausted after 2 restart\(s\)$/);
});

/** A server that is never well for `stableAfterMs`, until it is given up; it may be away for any time. */
function playOut(policy: RestartPolicy, chance: () => number): { restarts: number; waits: number[] } {
  let now = 0;
  let tally = NEW_TALLY;
  let isReady = false;
  let readyAt = 0;
  const waits: number[] = [];
  for (let restarts = 0;;) {
    const event = nextEvent();
    const decided = decideRestart(policy, tally, { event, jitter: chance() });
    tally = decided.tally;
    const { step } = decided;
    switch (step.kind) {
      case "watch":
      case "missed":
        break;
      case "restart":
        restarts++;
        isReady = false;
        waits.push(step.delayMs);
        // Neither a wait nor a slow start is time that it was well.
        now += step.delayMs + chance() * 100_000;
        break;
      case "give_up":
        return { restarts, waits };
    }
  }

  function nextEvent(): WatchEvent {
    if (!isReady) {
      if (chance() < 0.5) return failed;
      isReady = true;
      readyAt = now;
      return { kind: "ready", now };
    }
    const wellUntil = readyAt + policy.stableAfterMs - 1;
    const choice = chance();
    if (choice < 0.3 && now < wellUntil) {
      now += chance() * (wellUntil - now);
      return { kind: "probe_ok", now };
    }
    if (choice < 0.8) {
      now += chance() * 30_000;
      return missed;
    }
    // It ends while it is well, or after it stopped answering, however late.
    now = tally.misses === 0 ? Math.min(now, wellUntil) : now + chance() * 100_000;
    return exited(now);
  }
}

/** Mulberry32: the same numbers for the same seed. */
function chances(seed: number): () => number {
  let state = seed * 0x9E3779B9;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
