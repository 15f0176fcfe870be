import { assertEquals, assertStringIncludes } from "@std/assert";
import { OpenRequests } from "../../src/relay/open_requests.ts";
import { type Parcel, parcelOf } from "../../src/relay/parcel.ts";
import { Replayer } from "../../src/relay/replayer.ts";
import type { Failure } from "../../src/relay/upstream/upstream.ts";
import { FakeClock } from "../host/fake_clock.ts";
import { parcel } from "./connect_parts.ts";

const SENT: Failure = { phase: "sent", reason: "it broke" };
const UNSENT: Failure = { phase: "unsent", reason: "it broke" };

function scene() {
  const clock = new FakeClock();
  const told: { id: unknown; error: { message: string } }[] = [];
  const dispatched: Parcel[] = [];
  const requests = new OpenRequests((line) => void told.push(JSON.parse(new TextDecoder().decode(line))));
  const replayer = new Replayer({ clock }, {
    name: "docs",
    requests,
    timeoutMs: 1000,
    dispatch: (each) => void dispatched.push(each),
  });
  const sent = (said: object, given: Partial<Parcel> = {}): Parcel => {
    const each = Object.assign(parcel(said), { attempts: 1 }, given);
    requests.add(each);
    return each;
  };
  return { clock, told, dispatched, requests, replayer, sent };
}

Deno.test("Replayer sends a read again, which then waits no longer than it may", () => {
  const { told, dispatched, replayer, sent } = scene();
  const read = sent({ id: 1, method: "tools/list" });
  replayer.replay(read, SENT);
  assertEquals(dispatched, [read]);
  assertEquals(read.deadlineMs, 1000);
  assertEquals(told, []);
});

Deno.test("Replayer answers a call that may have run, and never sends it again", () => {
  const { told, dispatched, replayer, requests, sent } = scene();
  replayer.replay(sent({ id: 1, method: "tools/call" }), SENT);
  assertEquals(dispatched, []);
  assertEquals(told.map(({ id }) => id), [1]);
  assertStringIncludes(told[0]?.error.message ?? "", "may or may not have run");
  assertEquals(requests.parcels().size, 0);
});

Deno.test("Replayer gives up a read that every server dies of", () => {
  const { told, dispatched, replayer, sent } = scene();
  replayer.replay(sent({ id: 1, method: "tools/list" }, { attempts: 9 }), SENT);
  replayer.replay(sent({ id: 2, method: "tools/list" }, { attempts: 10 }), SENT);
  assertEquals(dispatched.map(({ attempts }) => attempts), [9]);
  assertEquals(told.map(({ id }) => id), [2]);
});

Deno.test("Replayer decides on each request of a batch that a server may have seen", () => {
  const { told, dispatched, replayer, sent } = scene();
  replayer.replay(sent([{ id: 1, method: "tools/call" }, { id: 2, method: "ping" }]), SENT);
  assertEquals(told.map(({ id }) => id), [1]);
  assertEquals(dispatched.map(({ message, attempts }) => ({ message, attempts })), [
    { message: { kind: "request", id: 2, method: "ping", params: {} }, attempts: 1 },
  ]);
});

Deno.test("Replayer keeps a batch whole that no server saw", () => {
  const { dispatched, replayer, sent } = scene();
  const batch = sent([{ id: 1, method: "tools/call" }, { id: 2, method: "ping" }]);
  replayer.replay(batch, UNSENT);
  assertEquals(dispatched, [batch]);
});

Deno.test("Replayer takes a subscription for new when it has held for a while", async () => {
  const { clock, dispatched, replayer, sent } = scene();
  const listen = sent({ id: 1, method: "subscriptions/listen" }, { attempts: 7, deadlineMs: 20 });
  await clock.advance(5001);
  replayer.replay(listen, SENT);
  assertEquals(dispatched, [listen]);
  assertEquals({ attempts: listen.attempts, deadlineMs: listen.deadlineMs }, {
    attempts: 0,
    deadlineMs: 6001,
  });
});

Deno.test("Replayer tells only the asker when a request on the client's behalf failed", () => {
  const { told, dispatched, replayer, requests } = scene();
  const reasons: string[] = [];
  const { line, message } = parcel({ id: "own", method: "tools/list" });
  const own = parcelOf(line, message, { keep: () => {}, giveUp: (reason) => void reasons.push(reason) });
  requests.add(own);
  replayer.replay(own, SENT);
  assertEquals(reasons, ["it broke"]);
  assertEquals([told.length, dispatched.length, requests.parcels().size], [0, 0, 0]);
});
