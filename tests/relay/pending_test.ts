import { assert, assertEquals } from "@std/assert";
import { PendingTable } from "../../src/relay/pending.ts";
import { Life, pendingIn } from "./scene.ts";

const decoder = new TextDecoder();

Deno.test("PendingTable finds a batch by each of its requests until that is settled", () => {
  const table = new PendingTable();
  const life = new Life();
  const batch = pendingIn(table, [{ id: 1, method: "ping" }, { id: "1", method: "ping" }]);
  batch.upstream = life;
  const one = table.find(life, "1", null);
  assertEquals([one?.pending, table.find(life, '"1"', null)?.pending], [batch, batch]);
  assertEquals(table.all().length, 1);
  assert(one !== null);
  table.settle(batch, one.open);
  assertEquals([...batch.open.keys()], ['"1"']);
});

Deno.test("PendingTable gives a request another wire id when the client's is open already", () => {
  const table = new PendingTable();
  const life = new Life();
  const [before, after] = [
    pendingIn(table, { id: 5, method: "ping" }),
    pendingIn(table, { id: 5, method: "ping" }),
  ];
  before.upstream = after.upstream = life;
  const [wireId = ""] = after.open.keys();
  assertEquals([...before.open.keys()], ["5"]);
  assert(/^\d+$/.test(wireId) && wireId !== "5", wireId);
  assertEquals(JSON.parse(decoder.decode(after.line)).id, Number(wireId));
  assertEquals(table.find(life, wireId, null)?.open.request.id, "5");
  assertEquals(table.withClientId("5").length, 2);
});

Deno.test("PendingTable finds a request whose id came back as another JSON type", () => {
  const table = new PendingTable();
  const life = new Life();
  const seven = pendingIn(table, { id: 7, method: "ping" });
  seven.upstream = life;
  assertEquals(table.find(life, '"7"', null)?.pending, seven);
  assertEquals(table.find(new Life(), '"7"', null), null);
  assertEquals(table.find(life, '"8"', null), null);
});

Deno.test("PendingTable becomes idle with the last answer, and waits for no subscription", async () => {
  const table = new PendingTable();
  pendingIn(table, { id: 2, method: "subscriptions/listen" });
  assert(table.isIdle);
  const ping = pendingIn(table, { id: 1, method: "ping" });
  assert(!table.isIdle);
  const idle = table.becomesIdle();
  table.remove(ping);
  await idle;
  assert(table.isIdle);
});

Deno.test("PendingTable tells what was sent to one connection, each message once", () => {
  const table = new PendingTable();
  const [life, other] = [new Life(), new Life()];
  const batch = pendingIn(table, [{ id: 1, method: "ping" }, { id: 2, method: "ping" }]);
  batch.upstream = life;
  batch.state = "sent";
  const waiting = pendingIn(table, { id: 3, method: "ping" });
  assertEquals([table.sentTo(life), table.sentTo(other), table.waiting()], [[batch], [], [waiting]]);
});

Deno.test("PendingTable knows whose progress is told of, until its answer", () => {
  const table = new PendingTable();
  const call = pendingIn(table, { id: 1, method: "tools/call", params: { _meta: { progressToken: "t" } } });
  assertEquals(table.withToken('"t"'), call);
  table.remove(call);
  assertEquals(table.withToken('"t"'), null);
});
