import { assert, assertEquals } from "@std/assert";
import { keyOf } from "../../src/relay/message.ts";
import { OpenRequests } from "../../src/relay/open_requests.ts";
import { Life, parcel } from "./connect_parts.ts";

function scene() {
  const told: unknown[] = [];
  const requests = new OpenRequests((line) => void told.push(JSON.parse(new TextDecoder().decode(line))));
  return { told, requests };
}

Deno.test("OpenRequests finds a batch by each of its requests until that is settled", () => {
  const { requests } = scene();
  const batch = parcel([{ id: 1, method: "ping" }, { id: "1", method: "ping" }]);
  requests.add(batch);
  assertEquals([requests.find(keyOf(1)), requests.find(keyOf("1"))], [batch, batch]);
  assertEquals(requests.parcels().size, 1);
  requests.settle(batch, keyOf(1));
  assertEquals([requests.find(keyOf(1)), requests.find(keyOf("1"))], [undefined, batch]);
  assertEquals([...batch.open.keys()], [keyOf("1")]);
});

Deno.test("OpenRequests leaves an id alone that another parcel took over", () => {
  const { requests } = scene();
  const [before, after] = [parcel({ id: 1, method: "ping" }), parcel({ id: 1, method: "ping" })];
  requests.add(before);
  requests.add(after);
  requests.settle(before, keyOf(1));
  assertEquals(requests.find(keyOf(1)), after);
});

Deno.test("OpenRequests becomes idle with the last answer, and waits for no subscription", async () => {
  const { requests } = scene();
  const ping = parcel({ id: 1, method: "ping" });
  requests.add(parcel({ id: 2, method: "subscriptions/listen" }));
  assert(requests.isIdle);
  requests.add(ping);
  assert(!requests.isIdle);
  const idle = requests.becomesIdle();
  requests.settleAll(ping);
  await idle;
  assert(requests.isIdle);
});

Deno.test("OpenRequests tells what was sent to one connection, each parcel once", () => {
  const { requests } = scene();
  const [life, other] = [new Life(), new Life()];
  const batch = parcel([{ id: 1, method: "ping" }, { id: 2, method: "ping" }]);
  batch.upstream = life;
  requests.add(batch);
  requests.add(parcel({ id: 3, method: "ping" }));
  assertEquals(requests.sentTo(life), [batch]);
  assertEquals(requests.sentTo(other), []);
});

Deno.test("OpenRequests refuses what is open in a parcel, and only that", () => {
  const { requests, told } = scene();
  const batch = parcel([{ id: 1, method: "ping" }, { id: 2, method: "ping" }]);
  requests.add(batch);
  requests.settle(batch, keyOf(1));
  const error = { code: -32001, message: "no" };
  requests.refuse(batch, error);
  requests.refuse(batch, error);
  assertEquals(told, [{ jsonrpc: "2.0", id: 2, error }]);
  assertEquals(requests.parcels().size, 0);
});
