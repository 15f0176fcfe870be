import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Host, HostError, type HttpServer, type ServerSocket } from "../../src/host/host.ts";
import type { ContractCase } from "./contract.ts";
import { listeningChild } from "./contract_processes.ts";
import { freePort } from "../fixtures/free_port.ts";

const here = "127.0.0.1";

export const netCases: readonly ContractCase[] = [
  {
    name: "a port that the system gave can be bound again once nobody listens on it",
    async run({ net }) {
      const port = await freePort(net);
      assert(port >= 1024 && port <= 65_535);
      assertEquals(await net.dial(here, port, 2000), "refused");
      assertEquals(await net.canBind(here, port), true);
      assertEquals(await net.canBind(here, port), true);
    },
  },
  {
    name: "fetch(), dial() and webSocket() connect to this machine only",
    async run({ net }) {
      for (
        const address of [
          "http://192.0.2.1/",
          "http://example.com/",
          "http://0.0.0.0:9/",
          "file:///etc/hosts",
        ]
      ) {
        const error = await assertRejects(() => net.fetch(address), HostError, "this machine only");
        assertEquals(error.code, "denied");
      }
      for (const address of ["ws://192.0.2.1/", "ws://example.com/"]) {
        assertEquals(assertThrows(() => net.webSocket(address), HostError).code, "denied");
      }
      assertEquals(await net.dial("192.0.2.1", 9, 2000), "failed");
      assertEquals(await net.dial("example.com", 80, 2000), "failed");
    },
  },
  {
    name: "connect() carries bytes both ways, reads as they come, and tells of the end",
    real: true,
    async run({ net }) {
      const server = await net.serve({
        hostname: here,
        port: 0,
        handle: async (request) => new Response(`${await request.text()} back`),
      });
      try {
        const connection = await net.connect(here, server.port, { timeoutMs: 2000 });
        const body = "there";
        const head =
          `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
        await connection.write(new TextEncoder().encode(head + body));
        let text = "";
        const decoder = new TextDecoder();
        for (let part = await connection.read(); part !== null; part = await connection.read()) {
          text += decoder.decode(part, { stream: true });
        }
        assert(text.startsWith("HTTP/1.1 200") && text.includes("there back"), text);
        connection.close();
        assertEquals(await connection.read(), null);
        await assertRejects(() => connection.write(new Uint8Array(1)));
      } finally {
        await server.close();
      }
      await assertRejects(() => net.connect(here, server.port, { timeoutMs: 2000 }));
      const stopped = AbortSignal.abort(new Error("stopped"));
      await assertRejects(
        () => net.connect(here, server.port, { timeoutMs: 2000, signal: stopped }),
        Error,
        "stopped",
      );
    },
  },
  {
    name: "connect() carries more than the system holds, both ways, to a reader that comes late",
    real: true,
    async run({ net, clock }) {
      const server = await net.serve({
        hostname: here,
        port: 0,
        handle: (request) => new Response(request.body),
      });
      try {
        const connection = await net.connect(here, server.port, { timeoutMs: 2000 });
        const body = new Uint8Array(12 * 1024 * 1024).map((_, at) => at % 251);
        const head =
          `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
        const written = Promise.all([
          connection.write(new TextEncoder().encode(head)),
          connection.write(body),
        ]);
        await Promise.race([written, clock.sleep(200)]);
        const received: Uint8Array[] = [];
        for (let part = await connection.read(); part !== null; part = await connection.read()) {
          received.push(part);
        }
        await written;
        connection.close();
        const answer = new Uint8Array(await new Blob(received as BlobPart[]).arrayBuffer());
        // Chunked: the bytes of the body stand between the sizes.
        assert(answer.length > body.length, `${answer.length}`);
        assertEquals(received.every((part) => part.length > 0), true);
      } finally {
        await server.close();
      }
    },
  },
  {
    name: "connect(): a write to a peer that is gone fails",
    real: true,
    async run({ net }) {
      const server = await net.serve({ hostname: here, port: 0, handle: () => new Response("x") });
      try {
        const connection = await net.connect(here, server.port, { timeoutMs: 2000 });
        await connection.write(
          new TextEncoder().encode("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        );
        for (let part = await connection.read(); part !== null;) part = await connection.read();
        const bytes = new Uint8Array(1024 * 1024);
        await assertRejects(async () => {
          for (let round = 0; round < 20; round++) await connection.write(bytes);
        });
        connection.close();
      } finally {
        await server.close();
      }
    },
  },
  {
    name: "fetch() follows no redirect, whatever is asked",
    async run({ net }) {
      const server = await net.serve({
        hostname: here,
        port: 0,
        handle: () => new Response(null, { status: 307, headers: { location: "http://192.0.2.1/" } }),
      });
      try {
        const response = await net.fetch(`http://${here}:${server.port}/`, { redirect: "follow" });
        assertEquals([response.status, response.headers.get("location")], [307, "http://192.0.2.1/"]);
        await response.body?.cancel();
      } finally {
        await server.close();
      }
    },
  },
  {
    name: "serve() answers requests until it is closed",
    async run({ net }) {
      const server = await net.serve({
        hostname: here,
        port: 0,
        handle: async (request) =>
          Response.json([request.method, new URL(request.url).pathname, await request.text()]),
      });
      try {
        assertEquals(await net.dial(here, server.port, 2000), "open");
        assertEquals(await net.canBind(here, server.port), false);
        const response = await net.fetch(`http://${here}:${server.port}/path`, {
          method: "POST",
          body: "text",
        });
        assertEquals(await response.json(), ["POST", "/path", "text"]);
      } finally {
        await server.close();
      }
      assertEquals(await net.dial(here, server.port, 2000), "refused");
      assertEquals(await net.canBind(here, server.port), true);
    },
  },
  {
    name: "serve() throws busy when the port is taken",
    async run({ net }) {
      const server = await net.serve({ hostname: here, port: 0, handle: () => new Response("first") });
      try {
        const error = await net.serve({
          hostname: here,
          port: server.port,
          handle: () => new Response("second"),
        })
          .catch((thrown: unknown) => thrown);
        assert(error instanceof HostError);
        assertEquals(error.code, "busy");
        const response = await net.fetch(`http://${here}:${server.port}/`);
        assertEquals(await response.text(), "first");
      } finally {
        await server.close();
      }
    },
  },
  {
    name: "serve() takes no address that other machines reach",
    real: true,
    async run({ net }) {
      for (const hostname of ["0.0.0.0", "::", "192.0.2.1"]) {
        const serving = net.serve({ hostname, port: 0, handle: () => new Response("?") });
        const error = await assertRejects(() => serving, HostError);
        assertEquals(error.code, "unsupported");
      }
    },
  },
  {
    name: "serve() listens on the IPv6 loopback too",
    real: true,
    run: ({ net }) =>
      withServer({ net }, { hostname: "::1", handle: () => new Response("six") }, async (server) => {
        assertEquals(await net.dial("::1", server.port, 2000), "open");
        assertEquals(await net.dial(here, server.port, 2000), "refused");
        assertEquals(await net.canBind("::1", server.port), false);
        assertEquals(await net.canBind(here, server.port), true, "the other family is free");
        assertEquals(await net.canBind("localhost", server.port), false, "localhost may be either family");
        assertEquals(await (await net.fetch(`http://[::1]:${server.port}/`)).text(), "six");
      }),
  },
  {
    name: "serve() answers 500 when the handler throws",
    real: true,
    run: ({ net }) =>
      withServer(
        { net },
        { hostname: here, handle: () => Promise.reject(new Error("broken")) },
        async ({ port }) => {
          const response = await net.fetch(`http://${here}:${port}/`);
          await response.body?.cancel();
          assertEquals(response.status, 500);
        },
      ),
  },
  {
    name: "serve() passes on each part of a streamed answer as it comes, and tells when the reader leaves",
    real: true,
    async run({ net }) {
      let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
      const left = Promise.withResolvers<void>();
      const handle = () =>
        new Response(
          new ReadableStream<Uint8Array>({
            start(given) {
              controller = given;
              given.enqueue(new TextEncoder().encode("one"));
            },
            cancel: () => left.resolve(),
          }),
          { headers: { "content-type": "text/event-stream" } },
        );
      await withServer({ net }, { hostname: here, handle }, async ({ port }) => {
        const response = await net.fetch(`http://${here}:${port}/`);
        const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
        assertEquals(new TextDecoder().decode((await reader.read()).value), "one");
        controller?.enqueue(new TextEncoder().encode("two"));
        assertEquals(new TextDecoder().decode((await reader.read()).value), "two");
        await reader.cancel();
        await left.promise;
      });
    },
  },
  {
    name: "fetch() rejects when nobody listens, and when it is aborted",
    async run({ net }) {
      const port = await freePort(net);
      assertEquals(
        await net.fetch(`http://${here}:${port}/`).then(() => "answered", () => "failed"),
        "failed",
      );
      const never = Promise.withResolvers<Response>();
      const server = await net.serve({ hostname: here, port: 0, handle: () => never.promise });
      try {
        const controller = new AbortController();
        const fetching = net.fetch(`http://${here}:${server.port}/`, { signal: controller.signal });
        controller.abort(new Error("enough"));
        const error = await fetching.catch((thrown: unknown) => thrown);
        assert(error instanceof Error);
        assertEquals(error.message, "enough");
      } finally {
        never.resolve(new Response("late"));
        await server.close();
      }
    },
  },
  {
    name: "webSocket() talks to the server's end in both directions, and both hear of the end",
    real: true,
    run: (host) => echo(host),
  },
  {
    name: "serve() closes its WebSockets when it is closed",
    real: true,
    async run({ net }) {
      const server = await net.serve({ hostname: here, port: 0, handle: (_, upgrade) => upgrade().response });
      const client = net.webSocket(`ws://${here}:${server.port}/`);
      await new Promise((resolve) => client.onopen = resolve);
      const closed = new Promise((resolve) => client.onclose = resolve);
      await server.close();
      await closed;
    },
  },
  {
    name: "upgrade() throws a HostError when the request asks for no WebSocket",
    real: true,
    async run({ net }) {
      const handle = (_: Request, upgrade: () => unknown) => {
        try {
          upgrade();
          return new Response("upgraded");
        } catch (error) {
          return new Response(error instanceof HostError ? "refused" : "wrong error");
        }
      };
      await withServer({ net }, { hostname: here, handle }, async ({ port }) => {
        assertEquals(await (await net.fetch(`http://${here}:${port}/`)).text(), "refused");
      });
    },
  },
  {
    name: "canBind() knows which families one listener has taken",
    real: true,
    async run({ net }) {
      await withServer({ net }, { hostname: here, handle: () => new Response() }, async ({ port }) => {
        assertEquals(await net.canBind(here, port), false);
        assertEquals(await net.canBind("localhost", port), false);
        assertEquals(await net.canBind("::1", port), true);
      });
    },
  },
  {
    name: "canBind() says no of a port that a wildcard listener has",
    real: true,
    run: (host, place) =>
      listeningChild(host, place, {
        hostname: "0.0.0.0",
        use: async ({ port }) => {
          assertEquals(await host.net.dial(here, port, 2000), "open");
          // macOS lets a narrower address be bound beside a wildcard one.
          if (host.system === "linux") assertEquals(await host.net.canBind(here, port), false);
        },
      }),
  },
  {
    name: "dial() is timeout when the listener takes no more connections",
    real: true,
    only: "linux",
    run: (host, place) =>
      listeningChild(host, place, {
        hostname: here,
        stopped: true,
        use: async ({ port }) => {
          let result = await host.net.dial(here, port, 500);
          for (let dialled = 1; result === "open" && dialled < 10_000; dialled += 1) {
            result = await host.net.dial(here, port, 500);
          }
          assertEquals(result, "timeout");
        },
      }),
  },
  {
    name: "reservedRanges() are pairs of ports",
    async run({ net }) {
      assert((await net.reservedRanges()).every(([first, last]) => first <= last));
    },
  },
];

type Handle = (request: Request, upgrade: () => { response: Response }) => Response | Promise<Response>;

async function withServer(
  { net }: Pick<Host, "net">,
  options: { hostname: string; handle: Handle },
  use: (server: HttpServer) => Promise<void>,
): Promise<void> {
  const server = await net.serve({ ...options, port: 0 });
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

async function echo({ net }: Host): Promise<void> {
  const ends: [number, string][] = [];
  const serverClosed = Promise.withResolvers<void>();
  const attach = (socket: ServerSocket) => {
    socket.send("hello");
    socket.onmessage = (data) =>
      socket.send(typeof data === "string" ? `text ${data}` : `bytes ${[...data].join()}`);
    socket.onclose = (code, reason) => {
      ends.push([code, reason]);
      serverClosed.resolve();
    };
  };
  const server = await net.serve({
    hostname: here,
    port: 0,
    handle(_, upgrade) {
      const { response, socket } = upgrade();
      socket.then(attach);
      return response;
    },
  });
  try {
    const client = net.webSocket(`ws://${here}:${server.port}/path`);
    const seen: unknown[] = [];
    const third = Promise.withResolvers<void>();
    client.onopen = () => {
      client.send("ü");
      client.send(new Uint8Array([1, 2, 255]));
    };
    client.onmessage = ({ data }) => {
      if (seen.push(data) === 3) third.resolve();
    };
    await third.promise;
    assertEquals(seen, ["hello", "text ü", "bytes 1,2,255"]);
    client.close(4001, "bye");
    await serverClosed.promise;
    assertEquals(ends, [[4001, "bye"]]);
    await endedByServer({ net }, server);
  } finally {
    await server.close();
  }

  async function endedByServer({ net }: Pick<Host, "net">, { port }: HttpServer): Promise<void> {
    const client = net.webSocket(`ws://${here}:${port}/`);
    const closed = new Promise<CloseEvent>((resolve) => client.onclose = resolve);
    await new Promise((resolve) => client.onmessage = resolve);
    client.close(1000, "done");
    assertEquals((await closed).wasClean, true);
  }
}
