/**
 * The lifecycle on a machine in memory: one server "docs" on port 3001 whose program does what a test says.
 *
 * @module
 */
import { type DownRequest, stopServer } from "../../src/lifecycle/stop/down.ts";
import { PLAIN_START, type StartOptions, startServer } from "../../src/lifecycle/start/start.ts";
import type { Outcome } from "../../src/lifecycle/row.ts";
import { Signaller } from "../../src/lifecycle/stop/signal.ts";
import { inspectServer, type StatusRow } from "../../src/lifecycle/observe/status.ts";
import type { World } from "../../src/lifecycle/world.ts";
import type { ServerRecord } from "../../src/registry/record.ts";
import { type ServerFolder, StateFolder } from "../../src/registry/store.ts";
import type { ServerDefinition } from "../../src/definitions/definition.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { type FakeChild, FakeHost, type FakeHostOptions, type FakeProcess } from "../host/fake_host.ts";
import { define } from "../definitions/machine.ts";

export const PORT = 3001;
export const PROGRAM = "/usr/bin/docs-server";

/** Answers at its status path, which is all that its ready check asks for. */
export const WRITTEN: WrittenServer = {
  command: PROGRAM,
  args: ["--port", "${port}", ["--ws-port", "${wsPort}"], "--pid-file", "${pidFile}"],
  port: PORT,
  version: "2.4.2",
  identity: { name: "docs-server", statusPath: "/status" },
  brand: ["docs-server"],
  brandFlags: ["--pid-file"],
  ready: { check: "http", timeout: "10s", probeTimeout: "1s" },
  stop: { grace: "500ms" },
};

export type Status = Record<string, unknown>;

export class Rig {
  readonly host: FakeHost;
  readonly world: World;
  readonly folder: ServerFolder;
  readonly warnings: string[] = [];
  /** What each process answers at its status path; without one it answers 404. */
  readonly statuses = new Map<number, Status>();
  /** How often a status was asked for. */
  asked = 0;

  constructor(options: FakeHostOptions = {}) {
    this.host = new FakeHost(options);
    this.host.files.putDir("/base");
    const state = new StateFolder(this.host, "/state");
    this.folder = state.server("docs");
    this.world = {
      host: this.host,
      state,
      signaller: new Signaller(this.host),
      signal: new AbortController().signal,
      callerFolder: "/base",
      progress: () => {},
      warn: (text) => void this.warnings.push(text),
    };
    this.host.net.onFetch = (request) => this.#answer(request);
    this.program((child) => this.serve(child));
  }

  /** What starting the server does. */
  program(does: (child: FakeChild) => void | Promise<void>): void {
    this.host.processes.program(PROGRAM, does);
  }

  /** Listens and answers as the right server does. */
  serve(child: FakeChild, status: Status = {}): void {
    const { args } = child.options;
    child.listen(Number(valueOf(args, "--port")));
    const wsPort = Number(valueOf(args, "--ws-port") ?? 0);
    this.statuses.set(child.process.pid, rightStatus({ ws_port: wsPort, ...status }));
  }

  /** Somebody else's process on the port. */
  foreign(
    status: Status | null = null,
    given: Parameters<FakeHost["processes"]["add"]>[0] = {},
  ): FakeProcess {
    const process = this.host.processes.add({ argv: ["python3"], listens: [PORT], ...given });
    if (status !== null) this.statuses.set(process.pid, status);
    return process;
  }

  async up(written: WrittenServer = {}, options: Partial<StartOptions> = {}): Promise<Outcome> {
    const definition = definitionOf(written);
    return await this.host.clock.run(startServer(this.world, definition, { ...PLAIN_START, ...options }));
  }

  async down(written: WrittenServer = {}, request: Partial<DownRequest> = {}): Promise<Outcome> {
    return await this.host.clock.run(stopServer(this.world, {
      name: "docs",
      key: "docs",
      definition: definitionOf(written),
      named: true,
      handoff: false,
      ...request,
    }));
  }

  async status(written: WrittenServer = {}): Promise<StatusRow> {
    return await this.host.clock.run(inspectServer(this.world, {
      name: "docs",
      key: "docs",
      definition: definitionOf(written),
      record: await this.record(),
    }));
  }

  async record(): Promise<ServerRecord | null> {
    const stored = await this.folder.read();
    return stored.kind === "record" ? stored.record : null;
  }

  /** Changes the record as it stands. */
  async rewrite(given: Partial<ServerRecord>): Promise<void> {
    const record = await this.record();
    if (record === null) throw new Error("there is no record to rewrite");
    await this.folder.write({ ...record, ...given });
  }

  get spawned(): number[] {
    return this.host.processes.spawned.map(({ pid }) => pid);
  }

  get signalled(): number[] {
    return this.host.processes.signals.map(({ target }) => target);
  }

  #answer(request: Request): Response {
    const { port, pathname } = new URL(request.url);
    const [listener] = this.host.processes.listening(Number(port));
    if (listener === undefined) throw new TypeError("connection refused");
    if (pathname === "/status") this.asked++;
    const status = this.statuses.get(listener.pid);
    if (pathname !== "/status" || status === undefined) return new Response("no", { status: 404 });
    return Response.json(status);
  }
}

export function rightStatus(given: Status = {}): Status {
  return { name: "docs-server", server_version: "2.4.2", ws_port: 0, ...given };
}

export function definitionOf(written: WrittenServer): ServerDefinition {
  return define({ ...WRITTEN, ...written });
}

function valueOf(args: readonly string[], flag: string): string | null {
  const at = args.indexOf(flag);
  return at < 0 ? null : args[at + 1] ?? null;
}
