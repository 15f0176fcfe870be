import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Connection } from "../../src/host/host.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import {
  ExchangeError,
  HeaderError,
  HttpClient,
  type HttpResponse,
} from "../../src/relay/upstream/http_client.ts";

const host = await createDenoHost();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Answer = (request: string, connection: Deno.Conn) => Promise<void> | void;

/** A server that answers each request with exactly these bytes. */
function serve(answer: Answer): { url: URL; connections(): number; close(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  let count = 0;
  const handle = async (connection: Deno.Conn) => {
    const buffer = new Uint8Array(65536);
    for (let size = await connection.read(buffer); size !== null; size = await connection.read(buffer)) {
      await answer(decoder.decode(buffer.subarray(0, size)), connection);
    }
  };
  (async () => {
    for await (const connection of listener) {
      count++;
      open.add(connection);
      handle(connection).catch(() => {});
    }
  })().catch(() => {});
  return {
    url: new URL(`http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/mcp?a=b`),
    connections: () => count,
    close() {
      listener.close();
      for (const connection of open) {
        try {
          connection.close();
        } catch {
          // It closed it itself.
        }
      }
    },
  };
}

const say = async (connection: Deno.Conn, text: string) => {
  const writer = connection.writable.getWriter();
  await writer.write(encoder.encode(text));
  writer.releaseLock();
};

async function textOf(response: HttpResponse): Promise<string> {
  let text = "";
  for (let part = await response.read(); part !== null; part = await response.read()) {
    text += decoder.decode(part);
  }
  return text;
}

function ask(
  client: HttpClient,
  url: URL,
  more: { isRepeatable?: boolean; headers?: Record<string, string> } = {},
) {
  return client.request({
    method: "POST",
    url,
    headers: more.headers ?? {},
    body: encoder.encode("{}"),
    isRepeatable: more.isRepeatable ?? false,
    signal: new AbortController().signal,
  });
}

const FRAMES: [string, string, string][] = [
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"],
  [
    "chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n",
    "hello",
  ],
  [
    "an interim answer first",
    "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ok",
  ],
  ["lines that end with LF alone", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok"],
  ["nothing", "HTTP/1.1 204 No Content\r\n\r\n", ""],
];
for (const [how, bytes, expected] of FRAMES) {
  Deno.test(`HttpClient reads an answer that is framed by ${how}, and keeps its connection`, async () => {
    const server = serve((_, connection) => say(connection, bytes));
    const client = new HttpClient(host);
    for (let n = 0; n < 3; n++) assertEquals(await textOf(await ask(client, server.url)), expected);
    assertEquals(server.connections(), 1);
    client.close();
    server.close();
  });
}

Deno.test("HttpClient reads an answer that comes byte by byte, and one that ends with its connection", async () => {
  const server = serve(async (_, connection) => {
    for (const char of "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello") await say(connection, char);
    connection.close();
  });
  const client = new HttpClient(host);
  const response = await ask(client, server.url);
  assertEquals(response.headers.get("x-a"), "1, 2");
  assertEquals(await textOf(response), "hello");
  client.close();
  server.close();
});

Deno.test("HttpClient sends path, query, host, length and headers as they are given", async () => {
  let seen = "";
  const server = serve((request, connection) => {
    seen = request;
    return say(connection, "HTTP/1.1 204 No Content\r\n\r\n");
  });
  const client = new HttpClient(host);
  await ask(client, server.url, { headers: { "mcp-name": "x y" } });
  assertEquals(
    seen,
    `POST /mcp?a=b HTTP/1.1\r\nhost: ${server.url.host}\r\nmcp-name: x y\r\ncontent-length: 2\r\n\r\n{}`,
  );
  const bad: Record<string, string>[] = [{ "a b": "c" }, { a: "b\r\nc: d" }, { a: "\u4e2d" }];
  for (const headers of bad) {
    await assertRejects(() => ask(client, server.url, { headers }), HeaderError);
  }
  client.close();
  server.close();
});

Deno.test("HttpClient says whether a request was sent that has no answer", async () => {
  const server = serve((_, connection) => connection.close());
  const client = new HttpClient(host);
  const sent = await assertRejects(() => ask(client, server.url), ExchangeError);
  assertEquals(sent.wasSent, true);
  server.close();
  const refused = await assertRejects(() => ask(client, server.url), ExchangeError);
  assertEquals(refused.wasSent, false);
  client.close();
});

for (const isRepeatable of [true, false]) {
  const what = isRepeatable ? "asks again" : "never asks again by itself";
  Deno.test(`HttpClient ${what} when a kept connection closes under ${isRepeatable ? "a read" : "a call"}`, async () => {
    let requests = 0;
    const server = serve((_, connection) => {
      requests++;
      if (requests === 2) return connection.close();
      return say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const client = new HttpClient(host);
    await textOf(await ask(client, server.url));
    if (isRepeatable) assertEquals(await textOf(await ask(client, server.url, { isRepeatable })), "ok");
    else {
      const error = await assertRejects(() => ask(client, server.url), ExchangeError);
      assertEquals(error.wasSent, true);
    }
    assertEquals(requests, isRepeatable ? 3 : 2);
    client.close();
    server.close();
  });
}

Deno.test("HttpClient tells when the server closes a connection that nobody uses", async () => {
  const closed = Promise.withResolvers<void>();
  let last: Deno.Conn | null = null;
  const server = serve((_, connection) => {
    last = connection;
    return say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const client = new HttpClient(host, () => closed.resolve());
  await textOf(await ask(client, server.url));
  (last as Deno.Conn | null)?.close();
  await closed.promise;
  assertEquals(await textOf(await ask(client, server.url)), "ok");
  assertEquals(server.connections(), 2);
  client.close();
  server.close();
});

const BROKEN: [string, string][] = [
  ["no HTTP", "SSH-2.0-x\r\n\r\n"],
  ["endless headers", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\n\r\n`],
  ["a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"],
];
for (const [what, bytes] of BROKEN) {
  Deno.test(`HttpClient takes ${what} for no answer`, async () => {
    const server = serve((_, connection) => say(connection, bytes));
    const client = new HttpClient(host);
    await assertRejects(() => ask(client, server.url), ExchangeError);
    client.close();
    server.close();
  });
}

for (const bytes of ["Transfer-Encoding: chunked\r\n\r\nzz\r\nhello", "Content-Length: 50\r\n\r\nhello"]) {
  Deno.test(`HttpClient does not take an answer for whole that breaks off (${bytes.slice(0, 17)})`, async () => {
    const server = serve(async (_, connection) => {
      await say(connection, `HTTP/1.1 200 OK\r\n${bytes}`);
      connection.close();
    });
    const client = new HttpClient(host);
    const response = await ask(client, server.url);
    await assertRejects(() => textOf(response));
    client.close();
    server.close();
  });
}

Deno.test("HttpClient reads no further than its reader, and lets go of a body that nobody reads", async () => {
  let sent = 0;
  const server = serve(async (_, connection) => {
    await say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n");
    const part = "x".repeat(100_000);
    while (sent < 9000) {
      await say(connection, part);
      sent++;
    }
  });
  const client = new HttpClient(host);
  const response = await ask(client, server.url);
  await response.read();
  let before = -1;
  // It stands still once the buffers of the system are full.
  while (before !== sent) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert(sent < 500, `${sent} parts were taken`);
  response.discard();
  client.close();
  server.close();
});

Deno.test("HttpClient: a request that can't be written fails, and leaves no rejection that nobody hears", async () => {
  const broken: Connection = {
    read: () => Promise.resolve(null),
    write: () => Promise.reject(new Error("the connection broke")),
    close() {},
  };
  const client = new HttpClient({
    clock: host.clock,
    net: { ...host.net, connect: () => Promise.resolve(broken) },
  });
  await assertRejects(() => ask(client, new URL("http://127.0.0.1:9/mcp")), ExchangeError);
  // Whoever is told of unhandled rejections is told by then.
  await new Promise((resolve) => setTimeout(resolve, 0));
});
