/**
 * Servers that lose sessions, restart, redirect or are busy, behind `foster connect`: a call is answered, and rightly.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { notes } from "../fixtures/connect_client.ts";
import { RawClient, said } from "../fixtures/raw_client.ts";
import { Foster, until } from "./harness.ts";
import { ALL, behind, definitionOf, MAY_HAVE_RUN } from "./odd.ts";

// ------------------------------------------------------------------------------------------------ busy is not dead

behind(
  "plain",
  "a tool that blocks it for long is answered, and nothing is restarted",
  async ({ client, noted }) => {
    assertEquals(said(await client.tool("block", { ms: 4000, text: "done" })), "done");
    assertEquals(said(await client.tool("echo", { text: "after" })), "after");
    assertEquals([(await noted("life")).length, (await noted("call block")).length], [1, 1]);
  },
  { on: ALL },
);

// ----------------------------------------------------------------------------------------------- sessions that go

for (
  const how of ["404-null", "404-id", "401-text", "400-init", "400-sid", "422-text", "200-init", "200-stream"]
) {
  behind(`lost-${how}`, "a lost session is found out and made anew", async ({ client, restart, noted }) => {
    assertEquals(said(await client.tool("echo", { text: "before" })), "before");
    await restart();
    assert((await client.call("ping")).result !== undefined);
    for (const text of ["one", "two"]) assertEquals(said(await client.tool("echo", { text })), text);
    assertEquals([(await noted("call echo one")).length, (await noted("life")).length], [1, 2]);
  });
}

behind("refused-handshake", "a refused handshake is no session", async ({ client, restart }) => {
  await restart();
  await until(
    "an answer again",
    async () => said(await client.tool("echo", { text: "again" })) === "again",
    20_000,
  );
});

// ------------------------------------------------------------------------------------------------------ last words

for (const modern of [false, true]) {
  for (const how of ["499", "502", "503", "closed", "empty-stream", "empty"]) {
    behind(`words-${how}`, "a call in flight may have run, a safe request is sent again", async (odd) => {
      const { client, noted, restart } = odd;
      if (!modern) await client.call("ping");
      const call = await client.send("tools/call", { name: "echo", arguments: { ms: 30_000, text: "lost" } });
      const prompt = await client.send("prompts/get", { name: "slow" });
      await until(
        "both are there",
        async () => (await noted("call")).length + (await noted("prompt")).length === 2,
      );
      await restart();
      assertMatch(said(await client.answer(call)), MAY_HAVE_RUN);
      assertEquals((await client.answer(prompt)).result?.description, "life 2");
      assertEquals((await noted("call echo lost")).length, 1);
    }, { modern });
  }
}

behind("dropped-call", "a lost connection is not called a restart", async ({ client, noted }) => {
  const answer = said(await client.tool("echo", { text: "x" }));
  assertMatch(answer, MAY_HAVE_RUN);
  assert(!/restarted/.test(answer), answer);
  assert((await client.call("ping")).result !== undefined);
  assertEquals([(await noted("call")).length, (await noted("life")).length], [1, 1]);
});

// ------------------------------------------------------------------------------------------- one way to speak HTTP

for (const status of [307, 308]) {
  behind(
    `redirect-${status}`,
    "a redirect on the same origin is followed",
    async ({ foster, client, noted }) => {
      assertEquals(said(await client.tool("echo", { text: "x" })), "x");
      assert((await noted("redirected")).length > 0);
      await foster.expect(0, ["probe", "odd"]);
      assertEquals((await foster.expect(0, ["status", "odd", "--json"])).row().state, "ready");
    },
  );
}

for (
  const { mode, shown } of [
    { mode: "redirect-away", shown: /redirects to http:\/\/127\.0\.0\.2/ },
    { mode: "redirect-302", shown: /redirects to http:\/\/127\.0\.0\.1:\d+\/mcp\/[^]*"path": "\/mcp\/"/ },
  ]
) {
  Deno.test(`server "${mode}": every verb refuses it with the location, and what to write where that helps`, async () => {
    await using foster = await Foster.create();
    const ready = { timeout: "3s", probeTimeout: "500ms" };
    await foster.define({ odd: definitionOf(foster, mode, { definition: { ready } }) });
    const { message, hint } = (await foster.expect(15, ["up", "odd", "--json"])).row();
    assertMatch(message + hint, shown);
    const connect = RawClient.open(foster, "odd", { args: ["--timeout", "3s"] });
    assertMatch(await connect.then(() => "it shook hands", (error: Error) => error.message), shown);
    assertEquals(
      (await notes(join(foster.folder, "notes"))).filter((line) => line.startsWith("dialled")),
      [],
    );
  });
}
