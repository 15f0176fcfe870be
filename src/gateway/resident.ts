/**
 * The process that is supervisor and gateway of a state folder: takes its lock, takes up what is enrolled, and stays for
 * as long as there is something to do.
 *
 * @module
 */
import { type FileLock, HostError, type HttpServer } from "../host/host.ts";
import { rotateOpenLog } from "../lifecycle/log_files.ts";
import type { World } from "../lifecycle/world.ts";
import { autoPort } from "../registry/auto_ports.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { FILE_MODE } from "../registry/paths.ts";
import { recordIn } from "../registry/store.ts";
import {
  type Enrolled,
  type EnrolledServer,
  NOTHING_ENROLLED,
  prepareSupervisorFolder,
  readEnrolled,
  readSupervisorRecord,
  secretOf,
  SUPERVISOR_SCHEMA,
  supervisorPaths,
  type SupervisorRecord,
  writeEnrolled,
  writeSupervisorRecord,
} from "../registry/supervisor_files.ts";
import type { QuitAnswer, QuitMode, ServeAnswer } from "../supervisor/control_wire.ts";
import { type ServerNews, Supervisor } from "../supervisor/supervisor.ts";
import { COMMIT, VERSION } from "../version.ts";
import { answerControl } from "./control.ts";
import { openListener, refusal } from "./listener.ts";

export interface ResidentOptions {
  /** `auto` chooses anew; null keeps the one that was chosen before. */
  port: number | "auto" | null;
  /** Without anything to do. */
  stay: boolean;
  /** False with `--no-token`. */
  withToken: boolean;
  hostname: string;
  hosts: readonly string[];
  /** Whether a port that is somebody else's keeps it from starting. */
  needsPort: boolean;
  onNews(server: EnrolledServer, news: ServerNews): void;
  onError(server: EnrolledServer, error: unknown): void;
  say(text: string): void;
}

export type ResidentStart =
  | { kind: "started"; resident: Resident }
  /** Another one is there. */
  | { kind: "taken"; record: SupervisorRecord | null }
  | { kind: "port_taken"; port: number };

/** No server has this key. */
const GATEWAY_PORT = "/gateway";
const IDLE_MS = 10_000;
const CHECK_MS = 2000;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

/** Becomes the supervisor, where there is none. */
export async function startResident(world: World, options: ResidentOptions): Promise<ResidentStart> {
  const { host, state } = world;
  await prepareSupervisorFolder(host, state.path);
  const lock = await host.files.tryLock(supervisorPaths(state.path).lock, FILE_MODE);
  if (lock === null) return { kind: "taken", record: await readSupervisorRecord(host, state.path) };
  const started = await open(world, options, lock).catch((error) => {
    lock.release();
    throw error;
  });
  if (started.kind !== "started") lock.release();
  return started;
}

async function open(world: World, options: ResidentOptions, lock: FileLock): Promise<ResidentStart> {
  const { host, state } = world;
  const self = await ownIdentity(world);
  const before = await readSupervisorRecord(host, state.path);
  // Whoever removed the lock file has not ended who held it.
  if (before !== null && before.pid !== self.pid && !isOver(await verdictNow(host, before))) {
    return { kind: "taken", record: before };
  }
  const read = await readEnrolled(host, state.path);
  const enrolled = read ?? NOTHING_ENROLLED;
  const paths = supervisorPaths(state.path);
  const secrets = {
    control: await secretOf(host, paths.controlToken),
    gateway: options.withToken ? await secretOf(host, paths.gatewayToken) : null,
  };
  const resident = new Resident(world, { options, enrolled, self, lock, secrets, keepsFile: read === null });
  const port = typeof options.port === "number"
    ? options.port
    : (options.port === "auto" ? null : enrolled.port) ?? await choosePort(world, options.hostname);
  try {
    await resident.listen(port);
  } catch (error) {
    if (!(error instanceof HostError && error.code === "busy")) throw error;
    if (options.needsPort) return { kind: "port_taken", port };
    options.say(`port ${port} is held by another program: the gateway has no address until that ends`);
    await resident.listenForControlOnly();
  }
  await resident.announce();
  return { kind: "started", resident };
}

/** Below the range of outgoing connections, one of which could have it when the supervisor comes back. */
async function choosePort({ host, state, signal }: World, hostname: string): Promise<number> {
  return await autoPort(host, { state, folder: GATEWAY_PORT, hostname, signal });
}

async function ownIdentity({ host: { processes } }: World): Promise<{ pid: number; start_token: string }> {
  const pid = processes.selfPid;
  const seen = (await processes.inspect([pid])).get(pid);
  if (seen?.kind !== "seen") throw new HostError("failed", "foster can't see its own process");
  return { pid, start_token: seen.facts.startTime };
}

export class Resident {
  readonly supervisor: Supervisor;
  readonly #world: World;
  readonly #options: ResidentOptions;
  readonly #lock: FileLock;
  readonly #secrets: { control: string; gateway: string | null };
  /** An enrolled.json of an unknown schema is left as it is. */
  readonly #keepsFile: boolean;
  readonly #ended = Promise.withResolvers<void>();
  #record: SupervisorRecord;
  #enrolled: Enrolled;
  #server: HttpServer | null = null;
  #isListening = false;
  #isEnding = false;
  #held = 0;
  #stay: boolean;
  #wake = () => {};
  #writing: Promise<void> = Promise.resolve();

  constructor(world: World, { options, enrolled, self, lock, secrets, keepsFile }: {
    options: ResidentOptions;
    enrolled: Enrolled;
    self: { pid: number; start_token: string };
    lock: FileLock;
    secrets: { control: string; gateway: string | null };
    keepsFile: boolean;
  }) {
    this.#world = world;
    this.#options = options;
    this.#enrolled = enrolled;
    this.#lock = lock;
    this.#secrets = secrets;
    this.#keepsFile = keepsFile;
    this.#stay = options.stay || enrolled.stay;
    this.#record = {
      schema: SUPERVISOR_SCHEMA,
      ...self,
      pid_namespace: null,
      version: VERSION,
      build: COMMIT,
      control: "",
      endpoint: null,
      since: new Date(world.host.clock.now()).toISOString(),
      detached: null,
    };
    this.supervisor = new Supervisor(world, {
      onNews: options.onNews,
      onError: options.onError,
      onChange: () => {
        this.#noteEnrolled();
        this.#wake();
      },
    });
  }

  get record(): SupervisorRecord {
    return this.#record;
  }

  async listen(port: number): Promise<void> {
    await this.#open(this.#options.hostname, port);
    this.#isListening = true;
    this.#enrolled = { ...this.#enrolled, port: this.#server?.port ?? port };
  }

  /** Where the gateway's port is somebody else's, verbs reach it all the same. */
  async listenForControlOnly(): Promise<void> {
    await this.#open("127.0.0.1", 0);
  }

  async #open(hostname: string, port: number): Promise<void> {
    this.#server = await openListener(this.#world.host, {
      hostname,
      port,
      hosts: this.#options.hosts,
      token: this.#secrets.gateway,
      onControl: (name, request) =>
        answerControl(
          {
            secret: this.#secrets.control,
            supervisor: this.supervisor,
            self: this.#record,
            quit: (mode) => this.quit(mode),
            serve: ({ servers }) => this.serve(servers),
            isEnding: () => this.#isEnding,
            hold: () => this.hold(),
          },
          name,
          request,
        ),
      onOpen: () => new Response(`foster ${VERSION}\n`),
      onRequest: () => Promise.resolve(refusal(404, "There is nothing here yet")),
    });
  }

  /** From here on verbs find it. */
  async announce(): Promise<void> {
    const { host, state } = this.#world;
    const address = `http://127.0.0.1:${this.#server?.port ?? 0}`;
    this.#record = {
      ...this.#record,
      control: address,
      endpoint: this.#isListening ? `${address}/mcp` : null,
    };
    await writeSupervisorRecord(host, state.path, this.#record);
    this.#noteEnrolled();
    await this.#writing;
  }

  /** Takes up what an earlier supervisor kept: what lives is adopted, what is gone and wanted is started. */
  restore(): void {
    for (const server of this.#enrolled.servers) {
      if (server.by !== "serve" && !this.supervisor.has(server.key)) {
        this.supervisor.enrol({ server, adoptOnly: true, environment: null });
      }
    }
  }

  /** Keeps it from ending for want of something to do. Returns the function that ends this. */
  hold(): () => void {
    this.#held++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#held--;
      this.#wake();
    };
  }

  /** Enrols servers that requests start, and stays for them. */
  async serve(servers: readonly EnrolledServer[]): Promise<ServeAnswer> {
    this.#setStay(true);
    const keys = new Set(servers.map(({ key }) => key));
    const others = this.#enrolled.servers.filter(({ key }) => !keys.has(key));
    const asleep = servers.filter(({ key }) => !this.supervisor.has(key));
    this.#enrolled = { ...this.#enrolled, servers: [...others, ...asleep] };
    this.#noteEnrolled();
    await this.#writing;
    this.#wake();
    return { endpoint: this.#record.endpoint, port: this.#enrolled.port };
  }

  quit(mode: QuitMode): QuitAnswer {
    const environments = mode === "replace" ? this.supervisor.environments() : {};
    if (mode === "idle" && (this.supervisor.size > 0 || this.#stay)) return { ends: false, environments };
    if (mode === "stop") this.#setStay(false);
    this.#isEnding = true;
    this.#wake();
    return { ends: true, environments };
  }

  #setStay(stay: boolean): void {
    this.#stay = stay;
    this.#enrolled = { ...this.#enrolled, stay };
  }

  /** Until it is asked to end, is interrupted, or has had nothing to do for long enough. */
  async run(): Promise<void> {
    const { signal, host: { clock } } = this.#world;
    let idleSince: number | null = null;
    let checkedAt = clock.monotonic();
    while (!this.#isEnding && !signal.aborted) {
      const now = clock.monotonic();
      if (this.supervisor.size > 0 || this.#held > 0 || this.#stay) idleSince = null;
      else idleSince ??= now;
      if (idleSince !== null && now - idleSince >= IDLE_MS) break;
      if (now - checkedAt >= CHECK_MS) {
        checkedAt = now;
        if (!await this.#isStillOurs().catch(() => true)) break;
      }
      await this.#pause(idleSince === null ? CHECK_MS : Math.min(CHECK_MS, idleSince + IDLE_MS - now));
    }
    this.#isEnding = true;
  }

  async #pause(ms: number): Promise<void> {
    const { signal, host: { clock } } = this.#world;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    signal.addEventListener("abort", this.#wake);
    if (this.#isEnding || signal.aborted) woken.abort();
    await clock.sleep(Math.max(1, ms), woken.signal).catch(() => {});
    signal.removeEventListener("abort", this.#wake);
    this.#wake = () => {};
  }

  /** Files that somebody removed are written again; a folder that another supervisor has by now is left to it. */
  async #isStillOurs(): Promise<boolean> {
    const { host, state } = this.#world;
    const record = await readSupervisorRecord(host, state.path);
    const { pid, start_token } = this.#record;
    if (record === null) await writeSupervisorRecord(host, state.path, this.#record);
    else if (record.pid !== pid || record.start_token !== start_token) {
      if (!isOver(await verdictNow(host, record))) return false;
      await writeSupervisorRecord(host, state.path, this.#record);
    }
    await rotateOpenLog(host, supervisorPaths(state.path).log, LOG_LIMIT_BYTES);
    return true;
  }

  /**
   * Ends it: whatever `isToStop` names is ended with it, the rest is left running, for the next supervisor. Never throws.
   */
  async close(
    isToStop: (server: EnrolledServer, startedBy: string | null) => boolean = startedForClients,
  ): Promise<void> {
    const { host, state } = this.#world;
    this.#isEnding = true;
    // What stays enrolled is what is kept now, not what is left once all loops have ended.
    const left = await this.#leftOver(isToStop);
    await this.supervisor.close(isToStop).catch((error) => this.#options.say(String(error)));
    await this.#writing;
    await this.#writeEnrolled({ ...this.#enrolled, servers: left });
    const record = await readSupervisorRecord(host, state.path).catch(() => null);
    if (record?.pid === this.#record.pid) {
      await host.files.remove(supervisorPaths(state.path).record).catch(() => false);
    }
    await this.#server?.close().catch(() => {});
    this.#lock.release();
    this.#ended.resolve();
  }

  async #leftOver(isToStop: (server: EnrolledServer, startedBy: string | null) => boolean) {
    const left: EnrolledServer[] = [];
    for (const server of this.supervisor.servers()) {
      const stored = await this.#world.state.server(server.key).read().catch(
        () => ({ kind: "none" } as const),
      );
      if (!isToStop(server, recordIn(stored)?.started_by ?? null)) left.push(server);
    }
    const kept = new Set(left.map(({ key }) => key));
    return [...left, ...this.#enrolled.servers.filter(({ by, key }) => by === "serve" && !kept.has(key))];
  }

  /** Kept up to date while it runs, so that whoever comes after a sudden end knows what to keep. */
  #noteEnrolled(): void {
    if (this.#isEnding) return;
    const supervised = this.supervisor.servers();
    const keys = new Set(supervised.map(({ key }) => key));
    const asleep = this.#enrolled.servers.filter(({ by, key }) => by === "serve" && !keys.has(key));
    this.#enrolled = { ...this.#enrolled, stay: this.#stay, servers: [...supervised, ...asleep] };
    this.#writing = this.#writing.then(() => this.#writeEnrolled(this.#enrolled));
  }

  async #writeEnrolled(enrolled: Enrolled): Promise<void> {
    if (this.#keepsFile) return;
    const { host, state } = this.#world;
    await writeEnrolled(host, state.path, enrolled)
      .catch((error) => this.#options.say(`enrolled.json can't be written: ${String(error)}`));
  }
}

/** Servers that requests started end with the supervisor: nobody would end them when they are not used any more. */
function startedForClients(_server: EnrolledServer, startedBy: string | null): boolean {
  return startedBy === "connect";
}
