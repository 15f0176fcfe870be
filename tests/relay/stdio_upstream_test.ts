import { assertEquals } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import type { ExitStatus } from "../../src/host/host.ts";
import { PendingTable } from "../../src/relay/pending.ts";
import { StdioUpstream } from "../../src/relay/upstream/stdio.ts";
import { FakeHost } from "../host/fake_host.ts";
import { eventsOf, pendingIn } from "./scene.ts";

const host = await createDenoHost();

/** Its input is read by nobody: each test has one of its own where that matters. */
const CHILD = {
  pid: 1,
  groupId: null,
  get stdin() {
    return new WritableStream<Uint8Array>();
  },
};
const QUIET = { toolHeaders: () => null, onText: () => Promise.resolve(), onServer: () => {} };

Deno.test("StdioUpstream gives up a child whose output is too large to show whose answer it is", async () => {
  const lost = Promise.withResolvers<string>();
  const chunk = new Uint8Array(1024 * 1024).fill(0x20);
  let sent = 0;
  const messages: string[] = [];
  let ended = 0;
  new StdioUpstream(host, {
    child: {
      ...CHILD,
      stdout: new ReadableStream<Uint8Array>({
        pull(controller) {
          if (sent++ < 65) controller.enqueue(sent === 1 ? new TextEncoder().encode('{"result":[') : chunk);
          else controller.enqueue(new TextEncoder().encode('"x"]}\n{"jsonrpc":"2.0","id":1,"result":{}}\n'));
        },
      }),
      exited: new Promise(() => {}),
    },
    end: () => Promise.resolve(void ended++),
    onText: () => Promise.resolve(),
    onServer: () => {},
    toolHeaders: () => null,
    events: eventsOf({
      message: (_, line) => void messages.push(new TextDecoder().decode(line)),
      lost: (_, reason) => lost.resolve(reason),
    }),
  });
  assertEquals(await lost.promise, "it sent more than 64 MiB that don't show whose they are");
  assertEquals([messages, ended], [[], 1]);
});

Deno.test("StdioUpstream tells of a child that is gone, also where ending what it left fails, and nobody else need hear of that", async () => {
  const lost = Promise.withResolvers<string>();
  const stopped: ExitStatus = { code: 3, signal: null };
  new StdioUpstream(host, {
    child: {
      ...CHILD,
      stdout: new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
      exited: Promise.resolve(stopped),
    },
    end: () => Promise.reject(new Error("the process can't be looked at")),
    ...QUIET,
    events: eventsOf({
      lost: (_, reason) => lost.resolve(reason),
    }),
  });
  const reason = await lost.promise;
  // Whoever is told of unhandled rejections is told by then.
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(["it closed its output", "it ended with exit code 3"].includes(reason), true, reason);
});

Deno.test("StdioUpstream that was retired still passes answers on, and tells of its child's end", async () => {
  const lost = Promise.withResolvers<string>();
  const exited = Promise.withResolvers<ExitStatus>();
  const answers: string[] = [];
  const output = new TransformStream<Uint8Array, Uint8Array>();
  const writer = output.writable.getWriter();
  const upstream = new StdioUpstream(host, {
    child: {
      ...CHILD,
      stdout: output.readable,
      exited: exited.promise,
    },
    end: () => Promise.resolve(),
    ...QUIET,
    events: eventsOf({
      message: (_, line) => void answers.push(new TextDecoder().decode(line)),
      lost: (_, reason) => lost.resolve(reason),
    }),
  });
  upstream.retire();
  await writer.write(new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"result":{}}\n'));
  await writer.close();
  exited.resolve({ code: 3, signal: null });
  await lost.promise;
  assertEquals(answers.map((line) => line.trim()), ['{"jsonrpc":"2.0","id":1,"result":{}}']);
});

Deno.test("StdioUpstream tells what its child can't have read as not sent, before it tells of the child's end", async () => {
  const told: string[] = [];
  const lost = Promise.withResolvers<void>();
  const ending = Promise.withResolvers<void>();
  const upstream = new StdioUpstream(host, {
    child: {
      ...CHILD,
      // The pipe is broken, which shows a moment later than the end of the output.
      stdin: new WritableStream<Uint8Array>({
        write: () => new Promise((_, reject) => setTimeout(() => reject(new Error("EPIPE")), 20)),
      }),
      stdout: new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
      exited: new Promise(() => {}),
    },
    end: () => {
      ending.resolve();
      return new Promise((resolve) => setTimeout(resolve, 50));
    },
    ...QUIET,
    events: eventsOf({
      failed: (_, { line }, { phase }) => void told.push(`${new TextDecoder().decode(line)} ${phase}`),
      lost: () => {
        told.push("lost");
        lost.resolve();
      },
    }),
  });
  const table = new PendingTable();
  upstream.send(pendingIn(table, { jsonrpc: "2.0", id: 1, method: "tools/call" }));
  await ending.promise;
  upstream.send(pendingIn(table, { jsonrpc: "2.0", id: 2, method: "tools/call" }));
  await lost.promise;
  assertEquals(told.map((each) => /"id":(\d)/.exec(each)?.[1] ?? each), ["1", "2", "lost"]);
  assertEquals(told.slice(0, 2).every((each) => each.endsWith(" unsent")), true);
});

Deno.test("StdioUpstream passes on all that its child wrote before its end, however slowly that comes", async () => {
  const fake = new FakeHost();
  const exited = Promise.withResolvers<ExitStatus>();
  const output = new TransformStream<Uint8Array, Uint8Array>();
  const writer = output.writable.getWriter();
  const told: string[] = [];
  new StdioUpstream(fake, {
    child: {
      ...CHILD,
      stdout: output.readable,
      exited: exited.promise,
    },
    end: () => Promise.resolve(),
    ...QUIET,
    events: eventsOf({
      message: (_, line) => void told.push(new TextDecoder().decode(line)),
      lost: () => void told.push("lost"),
    }),
  });
  exited.resolve({ code: 1, signal: null });
  for (const id of [1, 2, 3]) {
    await fake.clock.advance(150);
    await writer.write(new TextEncoder().encode(`{"id":${id}}\n`));
  }
  await fake.clock.advance(150);
  assertEquals(told, ['{"id":1}', '{"id":2}', '{"id":3}']);
  // A process that it started holds the output open, and says nothing.
  await fake.clock.advance(300);
  assertEquals(told.at(-1), "lost");
});

Deno.test("StdioUpstream waits for the words of a process that ended no longer than it may", async () => {
  const fake = new FakeHost();
  const output = new TransformStream<Uint8Array, Uint8Array>();
  const writer = output.writable.getWriter();
  let isLost = false;
  new StdioUpstream(fake, {
    child: {
      ...CHILD,
      stdout: output.readable,
      exited: Promise.resolve({ code: 1, signal: null }),
    },
    end: () => Promise.resolve(),
    ...QUIET,
    events: eventsOf({
      lost: () => isLost = true,
    }),
  });
  let passedMs = 0;
  for (; !isLost && passedMs < 10_000; passedMs += 50) {
    await writer.write(new TextEncoder().encode("{}\n"));
    await fake.clock.advance(50);
  }
  assertEquals([isLost, passedMs < 2500], [true, true]);
});
