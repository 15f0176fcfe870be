import { assertEquals } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import type { ExitStatus } from "../../src/host/host.ts";
import { StdioUpstream } from "../../src/relay/upstream/stdio.ts";

const host = await createDenoHost();

Deno.test("StdioUpstream tells of a child that is gone, also where ending what it left fails, and nobody else need hear of that", async () => {
  const lost = Promise.withResolvers<string>();
  const stopped: ExitStatus = { code: 3, signal: null };
  new StdioUpstream(host, {
    child: {
      pid: 1,
      groupId: null,
      stdin: new WritableStream<Uint8Array>(),
      stdout: new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
      exited: Promise.resolve(stopped),
    },
    end: () => Promise.reject(new Error("the process can't be looked at")),
    toolHeaders: () => null,
    onText: () => Promise.resolve(),
    onServer: () => {},
    events: {
      message: () => {},
      refused: () => {},
      failed: () => {},
      doubted: () => {},
      lost: (_, reason) => lost.resolve(reason),
    },
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
      pid: 1,
      groupId: null,
      stdin: new WritableStream<Uint8Array>(),
      stdout: output.readable,
      exited: exited.promise,
    },
    end: () => Promise.resolve(),
    toolHeaders: () => null,
    onText: () => Promise.resolve(),
    onServer: () => {},
    events: {
      message: (_, line) => void answers.push(new TextDecoder().decode(line)),
      refused: () => {},
      failed: () => {},
      doubted: () => {},
      lost: (_, reason) => lost.resolve(reason),
    },
  });
  upstream.retire();
  await writer.write(new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"result":{}}\n'));
  await writer.close();
  exited.resolve({ code: 3, signal: null });
  await lost.promise;
  assertEquals(answers.map((line) => line.trim()), ['{"jsonrpc":"2.0","id":1,"result":{}}']);
});
