/**
 * Load on an MCP server over plain keep-alive connections, with as little of a client in the way as can be. Runs under Bun:
 * `raw_load.ts URL CLIENTS CALLS [TOKEN]`, and prints `{p50, p99, rps}`.
 *
 * @module
 */
import { createConnection, type Socket } from "node:net";
import process from "node:process";

const [address = "", clientCount = "1", callCount = "1000", token = ""] = process.argv.slice(2);
const url = new URL(address);
const HELLO = {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "raw", version: "1" },
};

interface Answer {
  status: number;
  session: string | null;
  text: string;
}

/** One connection, which asks one thing at a time. */
class RawClient {
  readonly #socket: Socket;
  #text = "";
  #onAnswer: ((answer: Answer) => void) | null = null;
  #session: string | null = null;
  #id = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (part) => {
      this.#text += part;
      this.#look();
    });
  }

  static async open(): Promise<RawClient> {
    const socket = createConnection(Number(url.port), url.hostname);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const client = new RawClient(socket);
    const { session } = await client.#post({ id: ++client.#id, method: "initialize", params: HELLO });
    client.#session = session;
    await client.#post({ method: "notifications/initialized" });
    return client;
  }

  async call(): Promise<void> {
    const params = { name: "echo", arguments: { text: "hello" } };
    const { status, text } = await this.#post({ id: ++this.#id, method: "tools/call", params });
    if (status !== 200 || !text.includes('"content"')) throw new Error(`${status} ${text.slice(0, 200)}`);
  }

  async close(): Promise<void> {
    await this.#send("DELETE", "");
    this.#socket.destroy();
  }

  #post(message: Record<string, unknown>): Promise<Answer> {
    return this.#send("POST", JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  #send(method: string, body: string): Promise<Answer> {
    const session = this.#session === null
      ? ""
      : `mcp-session-id: ${this.#session}\r\nmcp-protocol-version: 2025-06-18\r\n`;
    const authorization = token === "" ? "" : `authorization: Bearer ${token}\r\n`;
    const head =
      `${method} ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/json\r\n` +
      `accept: application/json, text/event-stream\r\n${authorization}${session}content-length: ${body.length}\r\n\r\n`;
    return new Promise((resolve) => {
      this.#onAnswer = resolve;
      this.#socket.write(head + body);
    });
  }

  #look(): void {
    const end = this.#text.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#text.slice(0, end);
    const rest = this.#text.slice(end + 4);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length !== undefined ? rest.length < Number(length) : !isWhole(head, rest)) return;
    this.#text = "";
    const session = /\r\nmcp-session-id: (\S+)/i.exec(head)?.[1] ?? null;
    this.#onAnswer?.({ status: Number(head.slice(9, 12)), session, text: rest });
  }
}

function isWhole(head: string, rest: string): boolean {
  return /\r\ntransfer-encoding: chunked/i.test(head) ? rest.endsWith("0\r\n\r\n") : true;
}

const clients = await Promise.all(Array.from({ length: Number(clientCount) }, () => RawClient.open()));
const warmUps = Math.max(10, Math.ceil(300 / clients.length));
for (let call = 0; call < warmUps; call++) await Promise.all(clients.map((client) => client.call()));
const times: number[] = [];
let left = Number(callCount);
const startedAt = performance.now();
await Promise.all(clients.map(async (client) => {
  while (left-- > 0) {
    const calledAt = performance.now();
    await client.call();
    times.push(performance.now() - calledAt);
  }
}));
const tookMs = performance.now() - startedAt;
await Promise.all(clients.map((client) => client.close()));
times.sort((one, other) => one - other);
const at = (share: number) => times[Math.floor((times.length - 1) * share)];
console.log(JSON.stringify({ p50: at(0.5), p99: at(0.99), rps: times.length / (tookMs / 1000) }));
process.exit(0);
