/**
 * The process that is supervisor and gateway of a state folder: takes its lock, takes up what is enrolled, and stays for
 * as long as there is something to do.
 *
 * @module
 */
import { type FileLock, HostError, type HttpServer } from "../host/host.ts";
import { rotateOpenLog } from "../registry/log_files.ts";
import { QuietTimes } from "../relay/quiet_times.ts";
import type { World } from "../lifecycle/world.ts";
import { autoPort, GATEWAY_PORT } from "../registry/auto_ports.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { FILE_MODE, statePaths } from "../registry/paths.ts";
import { recordIn } from "../registry/store.ts";
import {
  type Enrolled,
  type GatewaySettings,
  NOTHING_ENROLLED,
  readEnrolled,
  readSupervisorFile,
  type SupervisorFile,
  writeEnrolled,
  writeSupervisorFile,
} from "../registry/supervisor_files.ts";
import { CONTROL_REVISION } from "../supervisor/control_wire.ts";
import type {
  ClientMessage,
  PageAnswer,
  PinAnswer,
  PinMessage,
  QuitAnswer,
  QuitMode,
  RestOptions,
  ServeAnswer,
  StaysDownMessage,
} from "../supervisor/control_wire.ts";
import { filesOf, isForRequests, serversOf, type SupervisedServer } from "../supervisor/enrolment.ts";
import { unitThatEnds } from "../supervisor/unit.ts";
import { type ServerNews, Supervisor } from "../supervisor/supervisor.ts";
import { COMMIT, VERSION } from "../version.ts";
import { answerControl } from "./control.ts";
import { Copies } from "./copies.ts";
import { Hosting } from "./hosting.ts";
import type { Page } from "./page/page.ts";
import { endingRefusal } from "./endpoint.ts";
import { openListener, refusedUnread } from "./listener.ts";

export interface ResidentOptions {
  /** `auto` chooses anew; null keeps the one that was chosen before. */
  port: number | "auto" | null;
  /** Without anything to do. */
  stay: boolean;
  /** Null keeps what an earlier `serve` said, or the usual. */
  gateway: GatewaySettings | null;
  /** Whether a port that is somebody else's keeps it from starting. */
  needsPort: boolean;
  /** Keys of servers whose environments whoever started this supervisor hands on from the one before. */
  environmentsOf?: readonly string[];
  onNews(server: SupervisedServer, news: ServerNews): void;
  onError(server: SupervisedServer, error: unknown): void;
  say(text: string): void;
}

export type ResidentStart =
  | { kind: "started"; resident: Resident }
  /** Another one is there. */
  | { kind: "taken"; pid: number | null }
  | { kind: "port_taken"; port: number };

export const USUAL_GATEWAY: GatewaySettings = { token: true, listen: "127.0.0.1", hosts: [] };

/** Addresses whose listener is reached through 127.0.0.1. */
const COVERS_LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "0.0.0.0"]);
/** Whoever replaced the supervisor before may have been killed since. */
const HAND_ON_MS = 10_000;
const IDLE_MS = 10_000;
const CHECK_MS = 2000;
const ORPHAN_GRACE_MS = 5000;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

/** Becomes the supervisor, where there is none. */
export async function startResident(world: World, options: ResidentOptions): Promise<ResidentStart> {
  const { host, state } = world;
  await state.prepare();
  const lock = await host.files.tryLock(statePaths(state.path).supervisorLock, FILE_MODE);
  if (lock === null) return { kind: "taken", pid: (await presentFile(world))?.pid ?? null };
  const started = await open(world, options, lock).catch((error) => {
    lock.release();
    throw error;
  });
  if (started.kind !== "started") lock.release();
  return started;
}

async function presentFile({ host, state }: World): Promise<SupervisorFile | null> {
  const file = await readSupervisorFile(host, state.path);
  return file.kind === "file" ? file.value : null;
}

async function open(world: World, options: ResidentOptions, lock: FileLock): Promise<ResidentStart> {
  const { host, state } = world;
  const self = await ownIdentity(world);
  const before = await presentFile(world);
  // Whoever removed the lock file has not ended who held it.
  if (before !== null && before.pid !== self.pid && !isOver(await verdictNow(host, before))) {
    return { kind: "taken", pid: before.pid };
  }
  const read = await readEnrolled(host, state.path);
  const enrolled = read.kind === "file" ? read.value : NOTHING_ENROLLED;
  if (read.kind === "unusable") options.say(`enrolled.json is left alone: ${read.why}`);
  const gateway = options.gateway ?? enrolled.gateway ?? USUAL_GATEWAY;
  // Whoever had the old address may have a program of its own there by now, which clients sent the old token.
  if (options.port === "auto") await host.files.remove(statePaths(state.path).gatewayToken);
  const secrets = {
    control: await state.controlToken(),
    gateway: gateway.token ? await state.gatewayToken() : null,
  };
  const keepsFile = read.kind === "unusable";
  const endsWith = unitThatEnds(await host.processes.unitPath());
  const resident = new Resident(world, {
    options,
    gateway,
    enrolled,
    self,
    endsWith,
    lock,
    secrets,
    keepsFile,
  });
  const port = typeof options.port === "number"
    ? options.port
    : (options.port === "auto" ? null : enrolled.port) ??
      await choosePort(world, { hostname: gateway.listen, anew: options.port === "auto" });
  try {
    await resident.listen(port);
  } catch (error) {
    if (!isBusy(error)) throw error;
    if (options.needsPort) return { kind: "port_taken", port };
    options.say(`port ${port} is held by another program: the gateway has no address until that ends`);
    await resident.listenForControlOnly();
  }
  await resident.announce();
  return { kind: "started", resident };
}

/** Below the range of outgoing connections, one of which could have it when the supervisor comes back. */
async function choosePort(
  { host, state, signal }: World,
  { hostname, anew }: { hostname: string; anew: boolean },
): Promise<number> {
  return await autoPort(host, { state, folder: GATEWAY_PORT, hostname, signal, anew });
}

function isBusy(error: unknown): boolean {
  return error instanceof HostError && error.code === "busy";
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
  readonly #gateway: GatewaySettings;
  readonly #locks: FileLock[];
  readonly #secrets: { control: string; gateway: string | null };
  /** An enrolled.json of an unknown schema is left as it is. */
  readonly #keepsFile: boolean;
  #file: SupervisorFile;
  readonly #hosting: Hosting;
  /** Between requests nobody needs what they took. */
  readonly #quiet: QuietTimes;
  #enrolled: Enrolled;
  readonly #listeners: HttpServer[] = [];
  #isEnding = false;
  /** The user ended it: stdio servers that `up` pinned are not for the next one to start. */
  #isStopped = false;
  /** Resolves once what was enrolled before is known: a request that comes earlier would find no such server. */
  readonly #known = Promise.withResolvers<void>();
  /** Whether all that was enrolled before it was taken up. */
  #isRestored = false;
  #held = 0;
  #stay: boolean;
  #wake = () => {};
  /** What the supervisor before handed on, by the server's key. */
  readonly #handedOn = new Map<string, PromiseWithResolvers<Record<string, string>>>();
  #writing: Promise<void> = Promise.resolve();
  /** Loaded when the first page comes. */
  #page: Promise<Page> | null = null;

  constructor(world: World, { options, gateway, enrolled, self, endsWith, lock, secrets, keepsFile }: {
    options: ResidentOptions;
    gateway: GatewaySettings;
    enrolled: Enrolled;
    self: { pid: number; start_token: string };
    endsWith: string | null;
    lock: FileLock;
    secrets: { control: string; gateway: string | null };
    keepsFile: boolean;
  }) {
    this.#world = world;
    this.#quiet = new QuietTimes(world.host, world.signal);
    this.#options = options;
    this.#gateway = gateway;
    this.#enrolled = enrolled;
    this.#locks = [lock];
    this.#secrets = secrets;
    this.#keepsFile = keepsFile;
    this.#stay = options.stay || enrolled.stay;
    for (const key of options.environmentsOf ?? []) this.#handedOn.set(key, Promise.withResolvers());
    this.#file = {
      schema: 1,
      ...self,
      pid_namespace: null,
      version: VERSION,
      build: COMMIT,
      control: CONTROL_REVISION,
      endpoint: "",
      since: new Date(world.host.clock.now()).toISOString(),
      ends_with: endsWith,
    };
    this.supervisor = new Supervisor(world, {
      onNews: (server, news) => {
        options.onNews(server, news);
        if (news.type !== "progress" && this.#page !== null) {
          this.#float(this.#page.then((page) => page.noteNews()));
        }
      },
      onError: options.onError,
      onChange: () => {
        this.#float(
          this.#hosting.add(this.supervisor.servers().filter(({ key }) => !this.#hosting.has(key)), null),
        );
        this.#noteEnrolled();
        this.#wake();
      },
    });
    this.#hosting = new Hosting(world, {
      supervisor: this.supervisor,
      secret: secrets.control,
      onFault: (error) => options.say(error instanceof Error ? error.stack ?? error.message : String(error)),
    });
  }

  /** Who it is and where it is reached, as supervisor.json has it. */
  get file(): SupervisorFile {
    return this.#file;
  }

  /** @throws HostError `busy` where the port is taken */
  async listen(port: number): Promise<void> {
    const { listen } = this.#gateway;
    await this.#open(listen, port);
    const chosen = this.#port ?? port;
    if (!COVERS_LOOPBACK.has(listen)) {
      // Verbs dial 127.0.0.1 whatever clients use.
      await this.#open("127.0.0.1", chosen).catch(async (error) => {
        // Where IPv6 takes IPv4 along, the first listener has that address already.
        if (listen === "::" && isBusy(error) && await this.#isReached(chosen)) return;
        await this.#closeListeners();
        throw error;
      });
    }
    this.#enrolled = { ...this.#enrolled, port: chosen };
  }

  get #port(): number | null {
    return this.#listeners[0]?.port ?? null;
  }

  /** Whether this process is what answers on the loopback address. */
  async #isReached(port: number): Promise<boolean> {
    const seen = await this.#world.host.processes.listeners(port);
    return seen.kind === "known" && seen.unnamed === 0 &&
      seen.listeners.every(({ pid }) => pid === this.#file.pid);
  }

  async #closeListeners(): Promise<void> {
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close().catch(() => {})));
  }

  /** Where the gateway's port is somebody else's, verbs reach it all the same. */
  async listenForControlOnly(): Promise<void> {
    await this.#open("127.0.0.1", 0);
  }

  async #open(hostname: string, port: number): Promise<void> {
    const listener = await openListener(this.#world.host, {
      hostname,
      port,
      hosts: this.#gateway.hosts,
      token: this.#secrets.gateway,
      onControl: (name, request) =>
        answerControl(
          {
            secret: this.#secrets.control,
            supervisor: this.supervisor,
            self: this.#file,
            use: () => this.#hosting.gateway.servers().map(({ use }) => use),
            quit: (mode) => this.quit(mode),
            serve: ({ servers, environment }) => this.serve(servers, environment),
            pin: (message) => this.pin(message),
            rest: (keys, how) => this.rest(keys, how),
            noteStaysDown: (message) => this.#noteStaysDown(message),
            setEnvironment: (key, environment) => this.setEnvironment(key, environment),
            client: (message) => this.#client(message),
            expectPage: () => this.#expectPage(),
            isEnding: () => this.#isEnding,
            hold: () => this.hold(),
          },
          name,
          request,
        ),
      onOpen: async (request) => {
        if (new URL(request.url).pathname !== "/") return new Response(`foster ${VERSION}\n`);
        return await (await this.#openPage()).document(request);
      },
      onPage: async (name, request) => await (await this.#openPage()).answer(name, request),
      onRequest: (request) => this.#answer(request),
    });
    this.#listeners.push(listener);
  }

  /** From here on verbs find it. */
  async announce(): Promise<void> {
    this.#file = { ...this.#file, endpoint: `http://127.0.0.1:${this.#port ?? 0}` };
    this.#hosting.endpoint = this.#file.endpoint;
    await writeSupervisorFile(this.#world.host, this.#world.state.path, this.#file);
    this.#noteEnrolled();
    await this.#writing;
  }

  /** Takes up what an earlier supervisor kept: what lives is adopted, what is gone and wanted is started. */
  async restore(): Promise<void> {
    const { host, state } = this.#world;
    const servers = serversOf(this.#enrolled, state.path);
    await this.#hosting.add(servers, null).finally(this.#known.resolve);
    this.#hosting.setStaysDown({ keys: keysThatStayDown(this.#enrolled), staysDown: true });
    for (const server of servers) {
      if (isForRequests(server) || this.supervisor.has(server.key)) continue;
      if (this.#speaksStdio(server.key)) {
        if (server.by === "up") {
          this.#float(this.#pinAgain(server));
        }
        continue;
      }
      // What a run enrolled ends with it; the next run, or up, finds what it left behind.
      if (server.by === "run" && (server.owner === null || isOver(await verdictNow(host, server.owner)))) {
        continue;
      }
      this.supervisor.enrol({ server, adoptOnly: true, environment: null });
    }
    this.#isRestored = true;
    this.#noteEnrolled();
    this.#float(this.#endOrphans());
  }

  /** What an earlier supervisor left of servers that are not enrolled any more; the others end theirs themselves. */
  async #endOrphans(): Promise<void> {
    const { state } = this.#world;
    for (const key of await state.keys()) {
      if (this.#hosting.has(key)) continue;
      await new Copies(this.#world, state.server(key), { graceMs: ORPHAN_GRACE_MS }).endOrphans();
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
  async serve(
    servers: readonly SupervisedServer[],
    environment: Record<string, string> | null,
  ): Promise<ServeAnswer> {
    this.#stay = true;
    await this.#hosting.add(servers, environment);
    this.#noteEnrolled();
    await this.#writing;
    this.#wake();
    return { endpoint: this.#file.endpoint };
  }

  #openPage(): Promise<Page> {
    return this.#page ??= import("./page/page.ts").then(({ Page }) =>
      new Page(this.#world, {
        secret: this.#secrets.control,
        supervisor: this.supervisor,
        hosting: this.#hosting,
        self: () => this.#file,
        pin: (message) => this.pin(message),
        rest: (keys, how) => this.rest(keys, how),
        noteUp: (key) => this.#noteStaysDown({ keys: [key], staysDown: false }),
        hold: () => this.hold(),
      })
    );
  }

  async #expectPage(): Promise<PageAnswer> {
    return { endpoint: this.#file.endpoint, ...(await this.#openPage()).expect() };
  }

  /** What passed the guard: the servers, and the counters. */
  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/metrics" && request.method === "GET") {
      const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
      return new Response(await this.#hosting.gateway.metrics(), { headers });
    }
    const [, path] = /^\/mcp((?:\/.*)?)$/.exec(pathname) ?? [];
    if (path === undefined) {
      return refusedUnread(404, `There is nothing at ${pathname}: servers are at /mcp/NAME`);
    }
    await this.#known.promise;
    // Its sessions are being given up: what comes now would begin anew what ends with this process.
    if (this.#isEnding) return endingRefusal();
    this.#quiet.touch();
    try {
      return await this.#hosting.gateway.handle(request, path);
    } finally {
      this.#quiet.touch();
    }
  }

  /** Lets the processes of servers go. */
  async rest(keys: readonly string[], how: RestOptions): Promise<void> {
    await this.#hosting.rest(keys, how);
    this.#noteEnrolled();
  }

  async #reread(): Promise<void> {
    if (await this.#hosting.reread()) this.#noteEnrolled();
  }

  async #noteStaysDown(message: StaysDownMessage): Promise<void> {
    this.#hosting.setStaysDown(message);
    this.#noteEnrolled();
    await this.#writing;
  }

  /** Starts a process of a stdio server that stays. */
  async pin(message: PinMessage): Promise<PinAnswer> {
    const outcome = await this.#hosting.pin(message);
    this.#noteEnrolled();
    this.#wake();
    return outcome;
  }

  async #client(
    message: ClientMessage,
  ): Promise<{ name: string; notes: readonly string[]; end(): Promise<void> }> {
    const { servers, environment } = message;
    await this.#hosting.add(servers.filter(({ key }) => !this.#hosting.has(key)), environment);
    this.#hosting.completeEnvironments(message);
    this.#noteEnrolled();
    return { ...this.#hosting.begin(message), notes: this.#hosting.notesOn(message) };
  }

  #speaksStdio(key: string): boolean {
    return this.#hosting.gateway.find(key)?.definition.transport === "stdio";
  }

  /** The next start of the server has this environment. */
  setEnvironment(key: string, environment: Record<string, string>): boolean {
    this.#handedOn.get(key)?.resolve(environment);
    const isSupervised = this.supervisor.setEnvironment(key, environment);
    return this.#hosting.setEnvironment(key, environment) || isSupervised;
  }

  /** As the supervisor before had it: a process of a stdio server ended with that one, and its environment too. */
  async #pinAgain(server: SupervisedServer): Promise<void> {
    const { signal, host: { clock } } = this.#world;
    const timeout = new AbortController();
    const environment = await Promise.race([
      this.#handedOn.get(server.key)?.promise ?? null,
      clock.sleep(HAND_ON_MS, AbortSignal.any([signal, timeout.signal])).then(() => null, () => null),
    ]);
    timeout.abort();
    await this.pin({ server, environment, timeoutMs: null, stays: true });
  }

  quit(mode: QuitMode): QuitAnswer {
    const environments = mode === "replace"
      ? { ...this.#hosting.environments(), ...this.supervisor.environments() }
      : {};
    if (mode === "idle" && this.#isNeeded) return { ends: false, environments };
    if (mode === "stop") {
      this.#stay = false;
      this.#isStopped = true;
    }
    this.#isEnding = true;
    this.#wake();
    return { ends: true, environments };
  }

  /** Until it is asked to end, is interrupted, or has had nothing to do for long enough. */
  async run(): Promise<void> {
    const { signal, host: { clock } } = this.#world;
    let idleSince: number | null = null;
    let checkedAt = clock.monotonic();
    while (!this.#isEnding && !signal.aborted) {
      const now = clock.monotonic();
      if (this.#isNeeded || this.#held > 0) idleSince = null;
      else idleSince ??= now;
      if (idleSince !== null && now - idleSince >= IDLE_MS) break;
      if (now - checkedAt >= CHECK_MS) {
        checkedAt = now;
        if (!await this.#isStillOurs().catch(() => true)) break;
        this.#float(this.#reread());
        this.#float(this.#hosting.keepPinned());
        this.#float(this.#hosting.rotateLogs());
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
    const present = await presentFile(this.#world);
    const { pid, start_token } = this.#file;
    if (present === null || present.pid !== pid || present.start_token !== start_token) {
      if (present !== null && !isOver(await verdictNow(host, present))) return false;
      await state.prepare();
      await writeSupervisorFile(host, state.path, this.#file);
    }
    await this.#keepSecrets();
    // A lock file that was removed is another one when it is made again: it is taken before somebody else has it.
    const again = await host.files.tryLock(statePaths(state.path).supervisorLock, FILE_MODE);
    if (again !== null) this.#locks.push(again);
    await rotateOpenLog(host, statePaths(state.path).supervisorLog, LOG_LIMIT_BYTES);
    return true;
  }

  /** Verbs could not reach it without; clients' settings hold the gateway's. */
  async #keepSecrets(): Promise<void> {
    const { files } = this.#world.host;
    const { controlToken, gatewayToken } = statePaths(this.#world.state.path);
    const { control, gateway } = this.#secrets;
    for (const [path, secret] of [[controlToken, control], [gatewayToken, gateway]] as const) {
      if (secret !== null && await files.stat(path) === null) {
        await files.writeAtomic(path, secret + "\n", FILE_MODE);
      }
    }
  }

  /**
   * Ends it: whatever `isToStop` names is ended with it, the rest is left running, for the next supervisor. Never throws.
   */
  async close(isToStop: IsToStop = startedForClients): Promise<void> {
    const { host, state } = this.#world;
    this.#isEnding = true;
    // What stays enrolled is what is kept now, not what is left once all loops have ended.
    const left = await this.#leftOver(isToStop);
    const asleep = this.#isStopped ? null : this.#asleep(left);
    (await this.#page)?.close();
    await this.#hosting.gateway.close().catch((error) => this.#options.say(String(error)));
    await this.supervisor.close(isToStop).catch((error) => this.#options.say(String(error)));
    await this.#writing;
    await this.#writeEnrolled(left, asleep);
    const present = await presentFile(this.#world).catch(() => null);
    if (present?.pid === this.#file.pid) {
      await host.files.remove(statePaths(state.path).supervisor).catch(() => false);
    }
    await this.#closeListeners();
    for (const lock of this.#locks) lock.release();
  }

  /** Whether there is something to keep, or somebody asked it to stay. */
  get #isNeeded(): boolean {
    return this.supervisor.size > 0 || this.#hosting.pinned > 0 || this.#stay;
  }

  #float(work: Promise<unknown>): void {
    work.catch((error) =>
      this.#options.say(error instanceof Error ? error.stack ?? error.message : String(error))
    );
  }

  async #leftOver(isToStop: IsToStop): Promise<SupervisedServer[]> {
    const left: SupervisedServer[] = [];
    for (const server of this.supervisor.servers()) {
      const stored = await this.#world.state.server(server.key).read().catch(
        () => ({ kind: "none" } as const),
      );
      if (!isToStop(server, recordIn(stored)?.started_by ?? null)) left.push(server);
    }
    return left;
  }

  /** Kept up to date while it runs, so that whoever comes after a sudden end knows what to keep. */
  #noteEnrolled(): void {
    if (this.#isEnding) return;
    this.#writing = this.#writing.then(() => this.#writeEnrolled(this.supervisor.servers()));
  }

  /** Those that are enrolled besides what is supervised. */
  #asleep(supervised: readonly SupervisedServer[]): SupervisedServer[] {
    const keys = new Set(supervised.map(({ key }) => key));
    // A server that listens and was brought up by name is enrolled for as long as it is supervised.
    return this.#hosting.servers().filter((server) =>
      !keys.has(server.key) &&
      (isForRequests(server) || server.by === "connect" || this.#speaksStdio(server.key))
    );
  }

  /** `asleep`: null for those of this moment. */
  async #writeEnrolled(
    supervised: readonly SupervisedServer[],
    asleep: readonly SupervisedServer[] | null = null,
  ): Promise<void> {
    if (this.#keepsFile) return;
    const { host, state } = this.#world;
    const taken = [...supervised, ...asleep ?? this.#asleep(supervised)];
    // What a sudden end finds not taken up yet is still enrolled.
    const untaken = this.#isRestored ? [] : serversOf(this.#enrolled, state.path);
    const servers = [...taken, ...untaken.filter(({ key }) => !taken.some((each) => each.key === key))];
    try {
      // Verbs write there which files the user brought in.
      const read = await readEnrolled(host, state.path);
      const before = read.kind === "file" ? read.value.files : [];
      const { port } = this.#enrolled;
      await writeEnrolled(host, state.path, {
        schema: 1,
        port,
        stay: this.#stay,
        gateway: this.#stay ? this.#gateway : null,
        files: filesOf(servers, { before, staysDown: this.#hosting.staysDown() }),
      });
    } catch (error) {
      this.#options.say(`enrolled.json can't be written: ${String(error)}`);
    }
  }
}

type IsToStop = (server: SupervisedServer, startedBy: string | null) => boolean;

function keysThatStayDown({ files }: Enrolled): string[] {
  return files.flatMap(({ servers }) => servers.filter((each) => each.stays_down).map(({ key }) => key));
}

/** Servers that requests started end with the supervisor: nobody would end them when they are not used any more. */
const startedForClients: IsToStop = (_server, startedBy) => startedBy === "connect";
