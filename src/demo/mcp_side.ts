import {
  createMcpHandler,
  isLegacyRequest,
  type McpServer,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import type { Host } from "../host/host.ts";

/** Clients that end without closing their session would otherwise fill the memory. */
const SESSION_LIMIT = 256;

interface Session {
  server: McpServer;
  transport: WebStandardStreamableHTTPServerTransport;
}

/** The MCP endpoint: the newer revision request by request, the older one with sessions. */
export class McpSide {
  readonly #host: Pick<Host, "random">;
  readonly #build: () => McpServer;
  readonly #modern: ReturnType<typeof createMcpHandler>;
  /** Least recently used first. */
  readonly #sessions = new Map<string, Session>();

  constructor(host: Pick<Host, "random">, build: () => McpServer) {
    this.#host = host;
    this.#build = build;
    this.#modern = createMcpHandler(build, { legacy: "reject" });
  }

  async handle(request: Request): Promise<Response> {
    if (!(await isLegacyRequest(request))) return await this.#modern.fetch(request);
    const id = request.headers.get("mcp-session-id");
    if (id === null) return await this.#open(request);
    const session = this.#sessions.get(id);
    if (session === undefined) return unknownSession();
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return await session.transport.handleRequest(request);
  }

  async close(): Promise<void> {
    const open = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all([this.#modern.close(), ...open.map((session) => session.server.close())]);
  }

  async #open(request: Request): Promise<Response> {
    const server = this.#build();
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => this.#host.random.hex(16),
      onsessioninitialized: async (id) => {
        this.#sessions.set(id, { server, transport });
        await this.#evict();
      },
      onsessionclosed: (id) => void this.#sessions.delete(id),
    });
    await server.connect(transport);
    const response = await transport.handleRequest(request);
    if (transport.sessionId === undefined) await server.close();
    return response;
  }

  async #evict(): Promise<void> {
    if (this.#sessions.size <= SESSION_LIMIT) return;
    for (const [id, session] of this.#sessions) {
      this.#sessions.delete(id);
      return await session.server.close();
    }
  }
}

function unknownSession(): Response {
  return Response.json(
    { jsonrpc: "2.0", id: null, error: { code: -32001, message: "Session not found" } },
    { status: 404 },
  );
}
