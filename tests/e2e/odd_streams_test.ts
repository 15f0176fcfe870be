/**
 * Servers whose streams are odd, slow, endless or huge, behind `foster connect`: a call is answered, and in bounds.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { said } from "../fixtures/raw_client.ts";
import { until } from "./harness.ts";
import { ALL, behind, BODY_LIMIT_MIB, LIMIT_MIB, MAY_HAVE_RUN } from "./odd.ts";

// ------------------------------------------------------------------------------------------- order without waiting

behind("slow-post", "what is asked while a POST waits is answered at once", async ({ client }) => {
  assertMatch(said(await client.tool("ask")), /file:\/\/\/tmp\/root/);
}, { on: ["sse"] });

behind("slow-post", "what is asked inside a notification is answered at once", async ({ client, noted }) => {
  await until("its stream", async () => (await client.call("ping")).result !== undefined);
  await client.notify("notifications/roots/list_changed");
  const [line = ""] = await until("the roots", async () => {
    await client.call("ping");
    const lines = await noted("roots");
    return lines.length > 0 && lines;
  });
  assertMatch(line, /file:\/\/\/tmp\/root/);
});

behind("slow-post", "calls at the same time do not wait for each other", async ({ client }) => {
  const took = async (calls: number) => {
    const before = performance.now();
    const ids = [];
    for (let n = 0; n < calls; n++) {
      ids.push(await client.send("tools/call", { name: "echo", arguments: { ms: 1000 } }));
    }
    await Promise.all(ids.map((id) => client.answer(id)));
    return performance.now() - before;
  };
  const [oneMs, fourMs] = [await took(1), await took(4)];
  assert(fourMs < 3 * oneMs, `${oneMs} ms, then ${fourMs} ms`);
}, { on: ["sse", "http"] });

behind("three-hundred", "300 calls are in flight together", async ({ client }) => {
  const ids: string[] = [];
  for (let n = 0; n < 300; n++) {
    ids.push(await client.send("tools/call", { name: "echo", arguments: { text: `call ${n}` } }));
  }
  for (const [n, id] of ids.entries()) assertEquals(said(await client.answer(id)), `call ${n}`);
}, { on: ALL });

// --------------------------------------------------------------------------------------------------------- streams

for (const framing of ["bom", "cr", "split-crlf", "multi-line", "no-space", "bytes"]) {
  behind(`framing-${framing}`, "events are read as they are meant", async ({ client }) => {
    for (const text of ["one, two: three", "\u{1f600} é\u2028"]) {
      assertEquals(said(await client.tool("echo", { text })), text);
    }
  }, { on: framing === "bom" ? ["http"] : ["http", "sse"] });
}

behind("many-lines", "an event of many lines costs what it is long", async ({ client }) => {
  const before = performance.now();
  assertEquals(said(await client.tool("echo", { text: "x" })), "x");
  assert(performance.now() - before < 5000, `${performance.now() - before} ms`);
});

behind("answers-over-get", "answers may come over the stream of the session", async ({ client }) => {
  for (const ms of [0, 0, 50, 300]) {
    assertEquals(said(await client.tool("echo", { ms, text: `${ms}` })), `${ms}`);
  }
});

behind("polling", "a call is asked for again as often as it takes", async ({ client, noted }) => {
  assertEquals(said(await client.tool("echo", {})), "polled");
  assertEquals((await noted("poll")).length, 25);
});

behind("get-html", "what is no stream of events is not asked for again", async ({ client, noted }) => {
  await client.tool("echo", { ms: 1500 });
  const gets = (await noted("get")).length;
  assert(gets <= 2, `${gets} times`);
});

behind(
  "get-closes",
  "a stream that ends at once is not asked for without a pause",
  async ({ client, noted }) => {
    await client.tool("echo", { ms: 2000 });
    const gets = (await noted("get")).length;
    assert(gets >= 1 && gets <= 20, `${gets} times`);
  },
);

behind("text-ids", "an answer whose id became text reaches whom it belongs to", async ({ client }) => {
  const { result } = await client.call("tools/call", { name: "echo", arguments: { text: "x" } }, {
    rawId: "77",
  });
  assertEquals(result, { content: [{ type: "text", text: "x" }] });
}, { on: ALL });

behind("plain", "ids beyond what JavaScript holds come back unchanged, in errors as well", async (odd) => {
  const { client, foster, noted } = odd;
  const large = "9007199254740993";
  assertEquals(
    said(await client.call("tools/call", { name: "echo", arguments: { text: "x" } }, { rawId: large })),
    "x",
  );
  const lost = await client.send(
    "tools/call",
    { name: "echo", arguments: { ms: 30_000 } },
    "12345678901234567890",
  );
  await until("the call", async () => (await noted("call")).length === 2);
  const [, pid] = (await noted("life"))[0]?.split(" ") ?? [];
  Deno.kill(Number(pid), "SIGKILL");
  assertMatch(said(await client.answer(lost)), MAY_HAVE_RUN);
  assert(foster.stateDir !== "");
}, { on: ALL });

// ---------------------------------------------------------------------------------------------------------- bounds

async function memoryMib(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

const noProc = Deno.build.os === "linux" ? null : "it reads /proc";

behind("plain", "a flood keeps no ping waiting and fills no memory", async ({ client }) => {
  const flood = await client.send("tools/call", { name: "flood", arguments: { count: 100_000, bytes: 200 } });
  for (let n = 0; n < 10; n++) {
    assert((await client.call("ping", {}, { timeoutMs: 10_000 })).result !== undefined);
  }
  assert((await client.answer(flood, 60_000)).result !== undefined);
  const mib = await memoryMib(client.running.pid);
  assert(mib < LIMIT_MIB, `${mib} MiB`);
}, { on: ALL, only: noProc });

behind("plain", "a client that does not read slows the server down", async ({ client, noted }) => {
  client.running.holdOutput(true);
  const flood = await client.send("tools/call", {
    name: "flood",
    arguments: { count: 1000, bytes: 100_000 },
  });
  const sent = async () => (await noted("sent")).length;
  let [before, since] = [-1, 0];
  // It stands still once every pipe on the way is full.
  await until("the server stands still", async () => {
    const now = await sent();
    if (now !== before) [before, since] = [now, performance.now()];
    return now > 0 && performance.now() - since > 1500;
  });
  assert(before < 6, `${before} of 10`);
  const mib = await memoryMib(client.running.pid);
  assert(mib < LIMIT_MIB, `${mib} MiB`);
  client.running.holdOutput(false);
  assert((await client.answer(flood, 60_000)).result !== undefined);
}, { on: ALL, only: noProc });

for (const mode of ["gzip-bomb", "error-page"]) {
  behind(mode, "a body without measure fails that call alone", async ({ client }) => {
    const { error } = await client.tool("echo", {}, 30_000);
    assert(error !== undefined && error.message.length < 4000, error?.message.slice(0, 200));
    assert((await client.call("ping")).result !== undefined);
    const mib = await memoryMib(client.running.pid);
    assert(mib < BODY_LIMIT_MIB, `${mib} MiB`);
  }, { only: noProc });
}

// -------------------------------------------------------------------------------------------------- sent and unsent

behind("plain", "what was cancelled before it was sent is never sent", async ({ client, foster, noted }) => {
  await client.call("ping");
  await foster.expect(0, ["down", "odd"]);
  const id = await client.send("tools/call", { name: "echo", arguments: { text: "cancelled" } });
  await client.notify("notifications/cancelled", { requestId: Number(id) });
  assertEquals(said(await client.tool("echo", { text: "after" })), "after");
  assertEquals((await noted("call echo cancelled")).length, 0);
}, { on: ["http", "sse"] });

behind("plain", "what is open at the end of the input is answered", async ({ client }) => {
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    ids.push(await client.send("tools/call", { name: "echo", arguments: { ms: 500, text: `${n}` } }));
  }
  await client.running.closeInput();
  const { code } = await client.running.finish();
  assertEquals(code, 0);
  for (const [n, id] of ids.entries()) assertEquals(said(await client.answer(id, 100)), `${n}`);
}, { on: ALL });
