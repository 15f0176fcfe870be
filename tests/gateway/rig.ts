/** A gateway with real processes behind it and a real listener in front. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { fromFileUrl } from "@std/path";
import type { ServerDefinition } from "../../src/definitions/definition.ts";
import { environmentOverrides, normalise } from "../../src/definitions/normalise.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { Gateway } from "../../src/gateway/gateway.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import type { HttpServer } from "../../src/host/host.ts";
import { openListener } from "../../src/gateway/listener.ts";
import { Signaller } from "../../src/lifecycle/stop/signal.ts";
import type { World } from "../../src/lifecycle/world.ts";
import { StateFolder } from "../../src/registry/store.ts";

const host = await createDenoHost();
export const STDIO_SERVER = fromFileUrl(new URL("../fixtures/stdio_server.ts", import.meta.url));

export type Revision = "older" | "newer";

export class GatewayRig implements AsyncDisposable {
  readonly folder: string;
  readonly warnings: string[] = [];
  readonly faults: unknown[] = [];
  /** Keys of servers that `up` asked to stay. */
  readonly pinned = new Set<string>();
  readonly world: World;
  gateway: Gateway;
  #server: HttpServer | null = null;
  readonly #token: string | null;
  readonly #ending = new AbortController();

  private constructor(folder: string, token: string | null) {
    this.#token = token;
    this.folder = folder;
    this.world = {
      host,
      state: new StateFolder(host, `${folder}/state`),
      signaller: new Signaller(host),
      signal: this.#ending.signal,
      callerFolder: folder,
      progress: () => {},
      warn: (text) => void this.warnings.push(text),
    };
    this.gateway = this.#newGateway();
  }

  /** With a `token` the guard stands before it, as in the supervisor. */
  static async open({ token = null }: { token?: string | null } = {}): Promise<GatewayRig> {
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-gateway-" }));
    const rig = new GatewayRig(folder, token);
    await rig.world.state.prepare();
    await rig.listen();
    return rig;
  }

  #newGateway(): Gateway {
    return new Gateway(this.world, {
      secret: "a secret of the test",
      timeoutMs: 15_000,
      environment: () => null,
      ownerEnvironment: () => null,
      ownerTimeoutMs: () => null,
      ownerMayTranslate: (owner) => owner !== "no-translate",
      bringUp: () => Promise.reject(new Error("no server of this test listens")),
      isUp: () => false,
      idleMs: () => null,
      isPinned: (key) => this.pinned.has(key),
      onIdle: () => Promise.resolve(),
      refuse: () => null,
      onFault: (error) => void this.faults.push(error),
    });
  }

  async listen(port = 0): Promise<void> {
    const handle = (request: Request) =>
      this.gateway.handle(request, new URL(request.url).pathname.replace(/^\/mcp/, ""));
    const hostname = "127.0.0.1";
    this.#server = this.#token === null
      ? await host.net.serve({ hostname, port, handle })
      : await openListener(host, {
        hostname,
        port,
        hosts: [],
        token: this.#token,
        onControl: () => Promise.resolve(new Response(null, { status: 404 })),
        onOpen: () => Promise.resolve(new Response("")),
        onPage: () => Promise.resolve(new Response(null, { status: 404 })),
        onRequest: handle,
      });
  }

  /** Another life of the gateway, on the same port and state folder. */
  async restart(): Promise<void> {
    const port = this.#server?.port;
    await this.gateway.close();
    await this.#server?.close();
    this.gateway = this.#newGateway();
    await this.listen(port);
  }

  url(name: string): URL {
    return new URL(`http://127.0.0.1:${this.#server?.port}/mcp/${name}`);
  }

  /** Enrols the stdio fixture in one of its modes, or takes over what is new of it. */
  async enrol(name: string, mode: string, more: Partial<WrittenServer> = {}): Promise<ServerDefinition> {
    const definition = normalise({
      command: Deno.execPath(),
      args: ["run", "-q", "--no-lock", "-A", STDIO_SERVER, mode],
      stop: { grace: "2s" },
      ...more,
    }, {
      name,
      key: name,
      source: { kind: "preset" },
      baseFolder: this.folder,
      overrides: environmentOverrides(() => undefined),
    });
    await this.gateway.enrol({ ...definition, cwd: this.folder });
    return definition;
  }

  async connect(
    name: string,
    revision: Revision,
    options: ConstructorParameters<typeof Client>[1] = {},
  ): Promise<Client> {
    const client = new Client({ name: `${revision}-client`, version: "1" }, {
      ...options,
      versionNegotiation: { mode: revision === "older" ? "legacy" : { pin: "2026-07-28" } },
    });
    await client.connect(new StreamableHTTPClientTransport(this.url(name)));
    return client;
  }

  /** Pids of the server's live processes. */
  pids(name: string): number[] {
    return this.gateway.find(name)?.copies.records().flatMap(({ pid }) => pid ?? []) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.close();
    await this.#server?.close();
    this.#ending.abort();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The text that a tool answers with. */
export async function callText(
  client: Client,
  name: string,
  args: Record<string, unknown> = {},
): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args });
  const [first] = content as { text: string }[];
  return first?.text ?? "";
}

export async function until(
  isTrue: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 10_000,
): Promise<void> {
  const endsAt = performance.now() + limitMs;
  while (!await isTrue()) {
    if (performance.now() > endsAt) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
