/**
 * A client of the least that can be: what is measured with it is not its own.
 *
 * @module
 */

/** One way of asking the server: through a bridge, or straight over HTTP. */
export interface Line {
  ask(method: string, params: unknown): Promise<unknown>;
  residentMiB(): Promise<number>;
  close(): Promise<void>;
}

export interface Bridge {
  name: string;
  command: string;
  args: string[];
  env: Record<string, string>;
}

const encoder = new TextEncoder();
const HELLO = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "bench", version: "1" },
};

export async function overStdio({ command, args, env }: Bridge): Promise<Line> {
  const child = new Deno.Command(command, { args, env, stdin: "piped", stdout: "piped", stderr: "null" })
    .spawn();
  const writer = child.stdin.getWriter();
  const waiting = new Map<number, (answer: unknown) => void>();
  const reading = readAnswers(child.stdout, waiting);
  let id = 0;
  const ask = (method: string, params: unknown) => {
    const own = ++id;
    const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id: own, method, params }) + "\n");
    return new Promise<unknown>((resolve, reject) => {
      waiting.set(own, resolve);
      writer.write(line).catch(reject);
    });
  };
  await ask("initialize", HELLO);
  await writer.write(encoder.encode('{"jsonrpc":"2.0","method":"notifications/initialized"}\n'));
  return {
    ask,
    residentMiB: () => residentMiB(child.pid),
    async close() {
      await writer.close();
      const stop = setTimeout(() => Deno.kill(child.pid, "SIGTERM"), 3000);
      await child.status;
      clearTimeout(stop);
      await reading;
    },
  };
}

async function readAnswers(
  stream: ReadableStream<Uint8Array>,
  waiting: Map<number, (answer: unknown) => void>,
): Promise<void> {
  let parts: Uint8Array[] = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, end));
      const answer = JSON.parse(await new Blob(parts as Uint8Array<ArrayBuffer>[]).text());
      parts = [];
      from = end + 1;
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    }
    parts.push(chunk.subarray(from));
  }
}

export async function overHttp(endpoint: string): Promise<Line> {
  let session: string | null = null;
  let id = 0;
  const post = async (message: Record<string, unknown>): Promise<unknown> => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        ...(session === null ? {} : { "mcp-session-id": session }),
      },
      body: encoder.encode(JSON.stringify(message)),
    });
    session ??= response.headers.get("mcp-session-id");
    const text = await response.text();
    const data = text.startsWith("event:") ? text.slice(text.indexOf("data: ") + 6).trimEnd() : text;
    return data === "" ? null : JSON.parse(data);
  };
  const ask = (method: string, params: unknown) => post({ jsonrpc: "2.0", id: ++id, method, params });
  await ask("initialize", HELLO);
  await post({ jsonrpc: "2.0", method: "notifications/initialized" });
  return { ask, residentMiB: () => Promise.resolve(0), close: () => Promise.resolve() };
}

/** Of a process and all below it. */
async function residentMiB(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const own = Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  const below = await Promise.all(
    children.split(" ").filter(Boolean).map((child) => residentMiB(Number(child))),
  );
  return below.reduce((sum, each) => sum + each, own);
}
