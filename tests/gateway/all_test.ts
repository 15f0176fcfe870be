/** Several servers as one address, for the official client of each revision. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { callText, GatewayRig, type Revision, until } from "./rig.ts";

const REVISIONS: readonly Revision[] = ["older", "newer"];

for (const revision of REVISIONS) {
  Deno.test(`a ${revision} client uses servers of both revisions through one address`, async () => {
    await using rig = await GatewayRig.open();
    await rig.enrol("one", "older");
    await rig.enrol("two", "newer");
    const client = await rig.connect("", revision);
    const names = (await client.listTools()).tools.map(({ name }) => name);
    assertEquals(names.filter((name) => name.endsWith("echo")), ["one__echo", "two__echo"]);
    assertEquals(await callText(client, "one__echo", { text: "1" }), "1");
    assertEquals(await callText(client, "two__echo", { text: "2" }), "2");
    const pids = [await callText(client, "one__pid"), await callText(client, "two__pid")];
    assert(pids[0] !== pids[1]);
    const seen: number[] = [];
    await client.callTool({ name: "two__progress", arguments: {} }, {
      onprogress: ({ progress }) => void seen.push(progress),
    });
    assertEquals(seen, [1, 2, 3]);
    await client.close();
    assertEquals(rig.faults, []);
  });

  Deno.test(`a ${revision} client is told when a server comes, and one that fails is missing, not all`, async () => {
    await using rig = await GatewayRig.open();
    await rig.enrol("one", "both");
    await rig.enrol("broken", "crash");
    let changes = 0;
    const client = await rig.connect("", revision, {
      listChanged: { tools: { onChanged: () => void changes++ } },
    });
    assert((await client.listTools()).tools.every(({ name }) => name.startsWith("one__")));
    const error = await assertRejects(() => client.callTool({ name: "broken__echo", arguments: {} }), Error);
    assertMatch(error.message, /None of the servers has "broken__echo"/);
    await rig.enrol("two", "both");
    await until(() => changes > 0, "the change was told");
    assert((await client.listTools()).tools.some(({ name }) => name === "two__echo"));
    await client.close();
  });
}

Deno.test("a tool that was never listed in this life of the gateway is found all the same", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("one", "both");
  const client = await rig.connect("", "newer");
  assertEquals(await callText(client, "one__echo", { text: "x" }), "x");
  await client.close();
});

Deno.test("two older clients of the whole have a process each at an older server", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("one", "older");
  const clients = await Promise.all([rig.connect("", "older"), rig.connect("", "older")]);
  const pids = await Promise.all(clients.map((client) => callText(client, "one__pid")));
  assert(pids[0] !== pids[1]);
  await Promise.all(clients.map((client) => client.close()));
});
