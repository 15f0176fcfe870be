/** One connection that several clients share: what they call alike stays apart. */
import { assert, assertEquals } from "@std/assert";
import { Life, Scene } from "./scene.ts";

const call = (id: unknown, progressToken: unknown) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name: "t", _meta: { progressToken } },
});

Deno.test("Relay gives each request on a shared connection an id and a token of its own, and gives the client's back", async () => {
  const life = new Life();
  const scene = await new Scene([life], { mintsIds: true }).start();
  const exchanges = [
    await scene.say(call(1, "p")),
    await scene.say(call(1, "p")),
    await scene.say(call("1", 1)),
  ];
  const sent = life.messages;
  const ids = sent.map(({ id }) => id);
  assertEquals(new Set(ids).size, 3);
  assert(ids.every((id) => Number.isSafeInteger(id)), "plain integers");
  assertEquals(sent.map(({ params }) => params._meta.progressToken), ids);
  for (const id of [...ids].reverse()) {
    await life.says({
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken: id, progress: 1 },
    });
    await life.says({ jsonrpc: "2.0", id, result: { for: id } });
  }
  await scene.settle();
  const told = scene.told.map((
    message,
    index,
  ) => [message.id ?? message.params.progressToken, scene.to[index]]);
  assertEquals(told, [
    [1, { kind: "related", exchange: exchanges[2] }],
    ["1", { kind: "answer", exchange: exchanges[2], isLast: true }],
    ["p", { kind: "related", exchange: exchanges[1] }],
    [1, { kind: "answer", exchange: exchanges[1], isLast: true }],
    ["p", { kind: "related", exchange: exchanges[0] }],
    [1, { kind: "answer", exchange: exchanges[0], isLast: true }],
  ]);
});

Deno.test("Relay.cancel() cancels one exchange under the server's id, and drops its late answer", async () => {
  const life = new Life();
  const scene = await new Scene([life], { mintsIds: true }).start();
  const first = await scene.say(call(1, "p"));
  await scene.say(call(1, "q"));
  scene.relay.cancel(first);
  await scene.settle();
  const [one, two, cancelled] = life.messages;
  assertEquals(cancelled, {
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId: one.id },
  });
  await life.says({ jsonrpc: "2.0", id: one.id, result: {} });
  await life.says({ jsonrpc: "2.0", id: two.id, result: {} });
  assertEquals(scene.told.length, 1);
});

Deno.test("Relay gives a subscription's messages the id that the client knows it by", async () => {
  const life = new Life();
  const scene = await new Scene([life], { mintsIds: true }).start();
  const listen = {
    jsonrpc: "2.0",
    id: "mine",
    method: "subscriptions/listen",
    params: { notifications: {} },
  };
  const exchange = await scene.say(listen);
  const [{ id }] = life.messages;
  const key = "io.modelcontextprotocol/subscriptionId";
  for (const method of ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"]) {
    await life.says({ jsonrpc: "2.0", method, params: { notifications: {}, _meta: { [key]: id } } });
  }
  assertEquals(scene.told.map(({ params }) => params._meta[key]), ["mine", "mine"]);
  assertEquals(scene.to, [{ kind: "related", exchange }, { kind: "related", exchange }]);
});

Deno.test("Relay opens a subscription again that the server takes back, and ends it in good order where that never holds", async () => {
  const life = new Life();
  const scene = await new Scene([life], { mintsIds: true, timeoutMs: 60_000 }).start();
  scene.fate = "same";
  const listen = { id: "mine", method: "subscriptions/listen", params: { notifications: {} } };
  await scene.say({ jsonrpc: "2.0", ...listen });
  for (let round = 0; scene.told.length === 0 && round < 20; round++) {
    const { id } = life.messages.at(-1);
    await life.says({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } });
    for (let step = 0; step < 40; step++) await scene.settle(50);
  }
  assertEquals(life.messages.length, 10);
  assertEquals(scene.told.map(({ id, result }) => [id, result]), [["mine", {
    resultType: "complete",
    _meta: { "io.modelcontextprotocol/subscriptionId": "mine" },
  }]]);
});

for (const mintsIds of [true, false]) {
  const title = mintsIds ? "on a shared connection" : "that uses an id twice";
  Deno.test(`Relay answers each request of a batch ${title}, and calls only the last answer the last`, async () => {
    const life = new Life();
    const scene = await new Scene([life], { mintsIds }).start();
    const exchange = await scene.say([
      call(5, "p"),
      { jsonrpc: "2.0", method: "notifications/x" },
      call(5, "p"),
    ]);
    const ids = life.messages.flatMap(({ id }) => id === undefined ? [] : [id]);
    assertEquals(ids.length, 2);
    for (const id of ids) await life.says({ jsonrpc: "2.0", id, result: {} });
    await scene.settle();
    assertEquals(scene.told.map(({ id }) => id), [5, 5]);
    assertEquals(scene.to, [
      { kind: "answer", exchange, isLast: false },
      { kind: "answer", exchange, isLast: true },
    ]);
  });
}

Deno.test("Relay refuses each request of a batch that was taken apart, and a cancelled one ends no other's exchange", async () => {
  const scene = await new Scene([], { mintsIds: true, timeoutMs: 100 }).start();
  const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 3 } };
  await scene.say([call(1, null), call(2, null), call(3, null), cancelled]);
  await scene.settle(1000);
  assertEquals(scene.told.map(({ id }) => id), [1, 2]);
  assertEquals(scene.to.map((to) => to.kind === "answer" && to.isLast), [false, true]);
});
