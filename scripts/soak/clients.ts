/**
 * Clients that keep nothing of what they were answered: hours of them fit into memory.
 *
 * @module
 */
import type { Foster } from "../../tests/e2e/harness.ts";
import { clientEnvironment, fosterCommand } from "../../tests/fixtures/connect_client.ts";

/** `text` is what the tool answered, `error` what went wrong instead. */
export type Answer = { kind: "text"; text: string } | { kind: "error"; message: string };

/** Longer than foster lets any request wait for a server. */
const ANSWER_MS = 120_000;

const HELLO = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "soak", version: "1" },
};
const NEWER = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": HELLO.clientInfo,
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** Never answered within its time: a call was lost. */
export class LostCall extends Error {}

// deno-lint-ignore no-explicit-any
type Message = any;

function answerOf({ result, error }: Message): Answer {
  const text = result?.content?.[0]?.text;
  if (typeof text === "string" && result.isError !== true) return { kind: "text", text };
  return { kind: "error", message: error?.message ?? text ?? JSON.stringify(result) };
}

/** One `foster connect`, spoken to line by line. */
export class ConnectClient {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #reading: Promise<void>;
  #next = 0;
  hasEnded = false;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#reading = this.#read();
    child.status.then(() => this.hasEnded = true);
  }

  static async open(foster: Foster, name: string, isNewer: boolean): Promise<ConnectClient> {
    const [command, ...before] = fosterCommand();
    const child = new Deno.Command(command, {
      args: [...before, "connect", name, "--idle", "20s"],
      cwd: foster.cwd,
      clearEnv: true,
      env: clientEnvironment(foster),
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const client = new ConnectClient(child);
    if (!isNewer) {
      await client.#ask("initialize", HELLO);
      await client.#send({ method: "notifications/initialized" });
    }
    return client;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async call(tool: string, args: Record<string, unknown>, isNewer: boolean): Promise<Answer> {
    return answerOf(
      await this.#ask("tools/call", { name: tool, arguments: args, ...isNewer ? { _meta: NEWER } : {} }),
    );
  }

  async #ask(method: string, params: unknown): Promise<Message> {
    const id = ++this.#next;
    const answered = Promise.withResolvers<Message>();
    this.#waiting.set(id, answered.resolve);
    const timer = setTimeout(() => answered.reject(new LostCall(`${method} got no answer`)), ANSWER_MS);
    try {
      await this.#send({ id, method, params });
      return await answered.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  async #send(message: Record<string, unknown>): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`));
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const message = JSON.parse(line);
        if (message.method === undefined) this.#waiting.get(message.id)?.(message);
      }
    }
  }

  /** Ends its input and waits. Gives its exit code; null where it did not end by itself. */
  async close(): Promise<number | null> {
    await this.#writer.close().catch(() => {});
    const timer = setTimeout(() => {
      if (!this.hasEnded) this.#child.kill("SIGKILL");
    }, 15_000);
    const { code, signal } = await this.#child.status;
    clearTimeout(timer);
    await this.#reading;
    return signal === null ? code : null;
  }
}

/** One client session over HTTP. */
export class HttpClient {
  #session: string | null = null;
  #next = 0;

  private constructor(readonly url: string, readonly token: string, readonly isNewer: boolean) {}

  /** Null where nobody is there to answer. */
  static async open(options: { url: string; token: string; isNewer: boolean }): Promise<HttpClient | null> {
    const client = new HttpClient(options.url, options.token, options.isNewer);
    if (options.isNewer) return client;
    try {
      const answer = await client.#post("initialize", HELLO);
      if (answer?.result === undefined) return null;
      await client.#post("notifications/initialized", undefined);
      return client;
    } catch (error) {
      if (error instanceof LostCall) throw error;
      return null;
    }
  }

  async call(tool: string, args: Record<string, unknown>): Promise<Answer> {
    try {
      const params = { name: tool, arguments: args, ...this.isNewer ? { _meta: NEWER } : {} };
      return answerOf(await this.#post("tools/call", params) ?? {});
    } catch (error) {
      if (error instanceof LostCall) throw error;
      return { kind: "error", message: error instanceof Error ? error.message : String(error) };
    }
  }

  async #post(method: string, params: Message): Promise<Message> {
    const id = params === undefined ? undefined : ++this.#next;
    const version = this.isNewer ? "2026-07-28" : "2025-11-25";
    const headers: Record<string, string> = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      authorization: `Bearer ${this.token}`,
      "mcp-protocol-version": version,
      ...this.#session === null ? {} : { "mcp-session-id": this.#session },
      ...this.isNewer
        ? { "mcp-method": method, ...params?.name === undefined ? {} : { "mcp-name": params.name } }
        : {},
    };
    const signal = AbortSignal.timeout(ANSWER_MS);
    try {
      const body = JSON.stringify({ jsonrpc: "2.0", ...id === undefined ? {} : { id }, method, params });
      const response = await fetch(this.url, { method: "POST", headers, body, signal });
      this.#session = response.headers.get("mcp-session-id") ?? this.#session;
      const text = await response.text();
      if (id === undefined) return null;
      const json = response.headers.get("content-type")?.includes("text/event-stream")
        ? text.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim())
          .findLast((line) => line.includes(`"id":${id}`)) ?? "{}"
        : text || "{}";
      return JSON.parse(json);
    } catch (error) {
      if (signal.aborted) throw new LostCall(`${method} got no answer`);
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#session === null) return;
    const headers = { authorization: `Bearer ${this.token}`, "mcp-session-id": this.#session };
    await fetch(this.url, { method: "DELETE", headers }).then(
      (response) => response.body?.cancel(),
      () => {},
    );
  }
}
