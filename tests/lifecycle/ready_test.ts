import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ExitStatus } from "../../src/host/host.ts";
import { type ReadyResult, type ReadyWait, waitUntilReady } from "../../src/lifecycle/start/ready.ts";
import { definitionOf, PORT, Rig, rightStatus } from "./rig.ts";

function wait(
  rig: Rig,
  given: Partial<ReadyWait> = {},
  signal = new AbortController().signal,
): Promise<ReadyResult> {
  const definition = definitionOf({});
  return rig.host.clock.run(waitUntilReady(rig.host, {
    folder: rig.folder,
    question: { definition, endpoint: `http://127.0.0.1:${PORT}/mcp`, signal },
    timeoutMs: 3000,
    probeTimeoutMs: 500,
    exited: null,
    isDead: () => Promise.resolve(false),
    onWaiting: () => {},
    ...given,
  }));
}

Deno.test("waitUntilReady() sees a server soon after it listens", async () => {
  const rig = new Rig();
  rig.host.clock.after(1000, () => void rig.foreign(rightStatus()));
  const result = await wait(rig);
  assertEquals(result.kind, "ready");
  assert(rig.host.clock.monotonic() < 1050, `${rig.host.clock.monotonic()}`);
});

for (const status of [404, 502, 503]) {
  Deno.test(`waitUntilReady() goes on through HTTP ${status} while the server starts`, async () => {
    const rig = new Rig();
    rig.foreign(rightStatus());
    const answer = rig.host.net.onFetch;
    let refusals = 5;
    rig.host.net.onFetch = (request) => refusals-- > 0 ? new Response("", { status }) : answer!(request);
    assertEquals((await wait(rig)).kind, "ready");
  });
}

Deno.test("waitUntilReady() goes on through connections that are refused or reset", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus());
  const answer = rig.host.net.onFetch;
  let refusals = 5;
  rig.host.net.onFetch = (request) => {
    if (refusals-- > 0) throw new TypeError("connection reset by peer");
    return answer!(request);
  };
  assertEquals((await wait(rig)).kind, "ready");
});

Deno.test("waitUntilReady() ends in time when nobody listens, and says so", async () => {
  const rig = new Rig();
  const result = await wait(rig);
  assertEquals(result, { kind: "timeout", last: "nothing listened on the port yet", listened: false });
  assert(rig.host.clock.monotonic() <= 3050);
});

Deno.test("waitUntilReady() quotes what it saw last when the time is over", async () => {
  const rig = new Rig();
  rig.foreign();
  const result = await wait(rig);
  assert(result.kind === "timeout" && result.listened && result.last.includes("404"), JSON.stringify(result));
});

for (const busyFor of [0, 2990]) {
  const said = busyFor === 0 ? "it took a connection and had not answered yet" : "HTTP 503";
  Deno.test(`waitUntilReady() says "${said}" of a server silent at the end, not how short its last attempt was`, async () => {
    const rig = new Rig();
    rig.foreign();
    rig.host.net.onFetch = () =>
      rig.host.clock.monotonic() < busyFor
        ? new Response("", { status: 503 })
        : new Promise<Response>(() => {});
    const result = await wait(rig, busyFor === 0 ? { timeoutMs: 400 } : {});
    assert(result.kind === "timeout", JSON.stringify(result));
    assertEquals(result.last.slice(0, said.length), said);
  });
}

Deno.test("waitUntilReady() cuts an answer that never comes at the probe's time, not at the end", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus());
  const answer = rig.host.net.onFetch;
  let first = true;
  rig.host.net.onFetch = (request) => {
    if (!first) return answer!(request);
    first = false;
    return new Promise<Response>(() => {});
  };
  assertEquals((await wait(rig)).kind, "ready");
  assert(rig.host.clock.monotonic() < 700, `${rig.host.clock.monotonic()}`);
});

Deno.test("waitUntilReady() ends within 200 ms of a request to stop, also during an attempt", async () => {
  for (const hangs of [false, true]) {
    const rig = new Rig();
    if (hangs) {
      rig.foreign();
      rig.host.net.onFetch = () => new Promise<Response>(() => {});
    }
    rig.host.clock.after(1000, () => void rig.folder.askToStop());
    const result = await wait(rig, { probeTimeoutMs: 3000, timeoutMs: 10_000 });
    assertEquals(result.kind, "asked_to_stop");
    assert(rig.host.clock.monotonic() <= 1220, `${rig.host.clock.monotonic()}`);
  }
});

Deno.test("waitUntilReady() acts on the end of the child at once", async () => {
  const rig = new Rig();
  const exited = Promise.withResolvers<ExitStatus>();
  rig.host.clock.after(400, () => exited.resolve({ code: 3, signal: null }));
  const result = await wait(rig, { exited: exited.promise, isDead: () => Promise.resolve(true) });
  assertEquals(result, { kind: "dead", exit: { code: 3, signal: null } });
  assert(rig.host.clock.monotonic() < 450);
});

Deno.test("waitUntilReady() goes on after the launcher ended while its successor may come", async () => {
  const rig = new Rig();
  const exited = Promise.resolve<ExitStatus>({ code: 0, signal: null });
  rig.host.clock.after(1000, () => void rig.foreign(rightStatus()));
  assertEquals((await wait(rig, { exited })).kind, "ready");
});

Deno.test("waitUntilReady() throws the user's interrupt", async () => {
  const rig = new Rig();
  const interrupt = new AbortController();
  rig.host.clock.after(500, () => interrupt.abort(new Error("interrupted")));
  await assertRejects(() => wait(rig, {}, interrupt.signal), Error, "interrupted");
});
