/**
 * The least that a gateway can do, under Bun: `floors.ts stdio PORT COMMAND ARGS…` has one child, whose ids it maps, and
 * `floors.ts http PORT ORIGIN` hands requests on. No guard, no restart, no stream of its own.
 *
 * @module
 */
import process from "node:process";

interface BunPipe {
  write(text: string): void;
  flush(): void;
}

interface BunRuntime {
  serve(options: {
    port: number;
    hostname: string;
    idleTimeout: number;
    fetch(request: Request): Promise<Response>;
  }): unknown;
  spawn(command: string[], options: Record<string, string>): {
    stdin: BunPipe;
    stdout: ReadableStream<Uint8Array>;
  };
}

const bun = (globalThis as unknown as { Bun: BunRuntime }).Bun;
const [kind, port = "0", ...rest] = process.argv.slice(2);
const json = { "content-type": "application/json" };

type Message = Record<string, unknown> & { id?: number };

function overStdio(command: string[]): (request: Request) => Promise<Response> {
  const child = bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  const waiting = new Map<number, (answer: Message) => void>();
  let next = 1;
  let handshake: Promise<Message> | null = null;
  const send = (message: Message) => {
    child.stdin.write(JSON.stringify(message) + "\n");
    child.stdin.flush();
  };
  const ask = (message: Message) =>
    new Promise<Message>((resolve) => {
      const id = next++;
      waiting.set(id, resolve);
      send({ ...message, id });
    });
  const read = async () => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const message: Message = JSON.parse(line);
        if (message.id === undefined || message.method !== undefined) continue;
        waiting.get(message.id)?.(message);
        waiting.delete(message.id);
      }
    }
  };
  read().catch(() => process.exit(1));
  const begin = async (message: Message) => {
    const answer = await ask(message);
    send({ jsonrpc: "2.0", method: "notifications/initialized" });
    return answer;
  };
  return async (request) => {
    if (request.method === "GET") return new Response(null, { status: 405 });
    if (request.method === "DELETE") {
      return new Response(null, { status: 200, headers: { "content-length": "0" } });
    }
    const message = await request.json() as Message;
    if (message.id === undefined) {
      return new Response(null, { status: 202, headers: { "content-length": "0" } });
    }
    if (message.method !== "initialize") {
      return new Response(JSON.stringify({ ...await ask(message), id: message.id }), { headers: json });
    }
    handshake ??= begin(message);
    const answer = JSON.stringify({ ...await handshake, id: message.id });
    return new Response(answer, { headers: { ...json, "mcp-session-id": crypto.randomUUID() } });
  };
}

function overHttp(origin: string): (request: Request) => Promise<Response> {
  return async (request) => {
    const headers = new Headers(request.headers);
    for (const name of ["host", "connection", "accept-encoding"]) headers.delete(name);
    const body = request.method === "POST" ? await request.text() : undefined;
    const url = origin + new URL(request.url).pathname;
    const response = await fetch(url, { method: request.method, headers, body });
    const passed = new Headers(response.headers);
    for (const name of ["content-length", "transfer-encoding", "connection"]) passed.delete(name);
    return new Response(response.body, { status: response.status, headers: passed });
  };
}

const handle = kind === "stdio" ? overStdio(rest) : overHttp(rest[0] ?? "");
bun.serve({ port: Number(port), hostname: "127.0.0.1", idleTimeout: 0, fetch: handle });
