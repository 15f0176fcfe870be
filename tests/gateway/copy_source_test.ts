/** How a stdio server's last end counts for its next start. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { ServerDefinition } from "../../src/definitions/definition.ts";
import type { Copies, Copy } from "../../src/gateway/copies.ts";
import { CopySource } from "../../src/gateway/copy_source.ts";
import type { ExitStatus } from "../../src/host/host.ts";
import type { World } from "../../src/lifecycle/world.ts";
import { FakeHost } from "../host/fake_host.ts";
import { callText, GatewayRig } from "./rig.ts";

const EVENTS = { message: () => {}, refused: () => {}, failed: () => {}, doubted: () => {}, lost: () => {} };

/** A process that says nothing. */
function silentCopy(): { copy: Copy; ends(exit: ExitStatus): void } {
  const exited = Promise.withResolvers<ExitStatus>();
  const copy: Copy = {
    id: "c",
    child: {
      pid: 1,
      groupId: null,
      stdin: new WritableStream<Uint8Array>(),
      stdout: new ReadableStream<Uint8Array>(),
      exited: exited.promise,
    },
    startedMs: 0,
    identity: null,
    isAskedToEnd: false,
    exit: null,
    lastWords: null,
    noteServer: () => {},
    end: () => Promise.resolve(),
  };
  return {
    copy,
    ends: (exit) => {
      copy.exit = exit;
      exited.resolve(exit);
    },
  };
}

Deno.test("CopySource blames a process that ended before a word for that, and none that foster ended", async () => {
  const host = new FakeHost();
  const starts: ReturnType<typeof silentCopy>[] = [];
  let restarts = 0;
  const copies = {
    start: () => {
      const started = silentCopy();
      starts.push(started);
      return Promise.resolve({ kind: "started", copy: started.copy });
    },
  } as unknown as Copies;
  const definition = { name: "docs", restart: { backoffMs: 50, backoffMaxMs: 1000 } } as ServerDefinition;
  const source = new CopySource({ host } as unknown as World, copies, {
    definition: () => definition,
    client: null,
    shared: false,
    onDemand: true,
    environment: () => null,
    wasEverReady: () => false,
    onChange: () => {},
    onRestart: () => void restarts++,
  });
  const { signal } = new AbortController();
  const acquire = async () => {
    const acquired = await source.acquire({ demand: true, signal });
    if (acquired.kind !== "there") return { kind: acquired.kind, upstream: null };
    return {
      kind: acquired.kind,
      upstream: await acquired.server.connect({ events: EVENTS, toolHeaders: () => null }, signal),
    };
  };
  const first = await acquire();
  const closed = first.upstream?.close(300);
  starts[0]?.ends({ code: null, signal: "SIGTERM" });
  await host.clock.advance(1000);
  await closed;
  assertEquals([(await acquire()).kind, restarts], ["there", 0]);
  starts[1]?.ends({ code: 1, signal: null });
  await host.clock.advance(1000);
  assertEquals([(await acquire()).kind, restarts], ["refused", 1]);
});

Deno.test("a server whose events can't be written starts, ends and starts again all the same", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older");
  await Deno.mkdir(join(rig.world.state.server("docs").paths.events), { recursive: true });
  const client = await rig.connect("docs", "older");
  const before = await callText(client, "pid");
  const [pid = 0] = rig.pids("docs");
  assertEquals([String(pid), rig.pids("docs").length], [before, 1]);
  Deno.kill(pid, "SIGKILL");
  await client.listTools();
  const after = await callText(client, "pid");
  assertEquals(rig.pids("docs").map(String), [after]);
  await client.close();
  await Deno.remove(rig.world.state.server("docs").paths.events);
});
