/**
 * The processes of one stdio server: each with its record before its spawn, ended with all that it started, and known to the
 * next supervisor where this one dies.
 *
 * @module
 */
import { join } from "node:path";
import type { ServerDefinition } from "../definitions/definition.ts";
import { specHash } from "../definitions/hash.ts";
import type { Environment, ExitStatus, PipedChild } from "../host/host.ts";
import { keepCrashLog, rotateOpenLog } from "../registry/log_files.ts";
import { describeExit, lastLines, withoutValues } from "../lifecycle/messages.ts";
import { findOwned, type Owned, ownedTargets } from "../lifecycle/observe/ownership.ts";
import { resolveCommand } from "../lifecycle/start/command.ts";
import { lostVariables, noteVariables, type VariablesOf } from "../lifecycle/start/variables_set.ts";
import { launchedRecord } from "../lifecycle/start/launched_record.ts";
import { climbLadder } from "../lifecycle/stop/ladder.ts";
import type { World } from "../lifecycle/world.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { FILE_MODE, FOLDER_MODE } from "../registry/paths.ts";
import { type CopyRecord, encodeRecord, type ProcessIdentity } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { Work } from "./start_watch.ts";
import type { ServerInfo } from "../relay/upstream/stdio.ts";

export interface CopyRequest {
  /** What its client calls itself; null for one that all share. */
  client: string | null;
  shared: boolean;
  /** A request started it: it ends when nobody uses it any more. */
  onDemand: boolean;
  /** Whole environment to start from; null for foster's own. */
  environment: Record<string, string> | null;
  signal: AbortSignal;
}

export type CopyStart =
  | { kind: "started"; copy: Copy }
  | { kind: "failed"; outcome: "no_command" | "crashed" | "usage"; message: string; hint: string };

/** A process of the server that lives. */
export interface Copy {
  readonly id: string;
  readonly child: PipedChild;
  readonly startedMs: number;
  readonly identity: ProcessIdentity | null;
  /** Set before its input is closed: a plain end after that is no crash. */
  isAskedToEnd: boolean;
  /** How it ended, null while it lives. */
  exit: ExitStatus | null;
  /** What it said last, once it ended by itself; null before. */
  lastWords: string | null;
  /** It answered a handshake: its record says what it is. */
  noteServer(server: ServerInfo): void;
  /** Asks by the end of its input, waits, then ends it with all that it started. Safe to call again. */
  end(): Promise<void>;
}

const ID_BYTES = 8;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const SHOWN_LINES = 5;
const OUTPUT_BYTES = 16 * 1024;
const CLOSE_LIMIT_MS = 250;
const OWN_END_MS = 50;

export class Copies {
  readonly #world: World;
  readonly #folder: ServerFolder;
  readonly #definition: () => ServerDefinition;
  readonly #graceMs: () => number;
  readonly #live = new Map<string, { copy: Copy; record: CopyRecord }>();
  #orphansEnded: Promise<void> = Promise.resolve();
  /** Why the last start gave no process; null where it gave one. */
  lastFailure: Extract<CopyStart, { kind: "failed" }> | null = null;

  /** `definition` is asked at each start: it may have changed since. Without one nothing can be started, only ended. */
  constructor(world: World, folder: ServerFolder, { definition, graceMs }: {
    definition?(): ServerDefinition;
    graceMs?: number;
  }) {
    this.#world = world;
    this.#folder = folder;
    this.#definition = definition ?? (() => {
      throw new Error(`"${folder.key}" has no definition`);
    });
    this.#graceMs = () => graceMs ?? this.#definition().stop.graceMs;
  }

  /** Records of the processes that live, the oldest first. */
  records(): CopyRecord[] {
    return [...this.#live.values()].map(({ record }) => record).sort((a, b) =>
      a.started_at.localeCompare(b.started_at)
    );
  }

  /** What the processes that all share do, with all that they started. @throws HostError */
  async sharedWork(): Promise<Work> {
    const { processes } = this.#world.host;
    const shared = [...this.#live.values()].map(({ record }) => record).filter((record) => record.shared);
    const leaders = new Set(shared.flatMap(({ pid }) => pid ?? []));
    const pids = (await processes.list()).filter(({ pid, groupId }) =>
      leaders.has(pid) || leaders.has(groupId)
    )
      .map(({ pid }) => pid).sort((one, other) => one - other);
    const usage = await processes.usage(pids);
    const cpuMs = [...usage.values()].reduce((sum, each) => sum + each.cpuMs, 0);
    return { command: shared[0]?.argv[0] ?? null, pids, cpuMs };
  }

  /** @throws the signal's reason */
  async start(request: CopyRequest): Promise<CopyStart> {
    const started = await this.#start(request);
    this.lastFailure = started.kind === "failed" ? started : null;
    if (started.kind === "failed") {
      await this.#folder.event("start_failed", { message: started.message }).catch((error) =>
        this.#world.warn(`${this.#folder.key}: ${error instanceof Error ? error.message : String(error)}`)
      );
    }
    return started;
  }

  async #start(request: CopyRequest): Promise<CopyStart> {
    const { host } = this.#world;
    const definition = this.#definition();
    await this.#orphansEnded;
    request.signal.throwIfAborted();
    await this.#folder.prepare();
    const world = request.environment === null
      ? this.#world
      : withEnvironment(this.#world, request.environment);
    const command = await resolveCommand(world, this.#folder, {
      definition,
      ports: null,
      ownerPid: host.processes.selfPid,
    });
    if (!("tier" in command)) return { kind: "failed", outcome: "no_command", ...command };
    const variables: VariablesOf = { host: world.host, folder: this.#folder, definition };
    const lost = await lostVariables(variables);
    if (lost !== null) return { kind: "failed", outcome: "usage", ...lost };
    request.signal.throwIfAborted();
    await rotateOpenLog(host, this.#folder.paths.log, LOG_LIMIT_BYTES);
    const owner = await this.#self();
    const launched = launchedRecord(host, { folder: this.#folder, definition, command }, {
      state: "spawning",
      started_by: request.onDemand ? "connect" : "up",
      on_demand: request.onDemand,
      port: 0,
      ws_port: null,
      endpoint: "",
      spec_hash: specHash(definition),
      last_exit: null,
      owner_pid: null,
      supervisor: owner,
      restarts: 0,
    });
    const record: CopyRecord = {
      ...launched,
      copy: host.random.hex(ID_BYTES),
      client: request.client,
      shared: request.shared,
      owner,
      session: command.session?.name ?? null,
    };
    await this.#write(record);
    try {
      if (command.session !== null) {
        await this.#folder.writeSession(command.session.file, command.session.payload);
      }
    } catch (error) {
      await this.#forget(record);
      throw error;
    }
    const logStart = (await host.files.stat(this.#folder.paths.log))?.sizeBytes ?? 0;
    let child: PipedChild;
    try {
      child = await host.processes.spawnPiped({
        command: command.command,
        args: command.args,
        cwd: command.cwd,
        env: command.env,
        detached: true,
        stderr: { kind: "log", file: this.#folder.paths.log },
      });
    } catch (error) {
      await this.#forget(record);
      const why = withoutValues(error instanceof Error ? error.message : String(error), command);
      const hint = `check "command" and "cwd" in its definition`;
      return {
        kind: "failed",
        outcome: "crashed",
        message: `Cannot start "${definition.name}": ${why}`,
        hint,
      };
    }
    await noteVariables(variables);
    return { kind: "started", copy: await this.#follow(child, { draft: record, logStart }) };
  }

  /** Ends all processes that live. */
  async endAll(): Promise<void> {
    await this.#orphansEnded;
    await Promise.all([...this.#live.values()].map(({ copy }) => copy.end()));
  }

  /** Ends what supervisors that are gone left behind, with proof. A start waits for it: servers have locks and ports. */
  endOrphans(): Promise<void> {
    const ended = this.#endOrphans();
    this.#orphansEnded = ended.catch(() => {});
    return ended;
  }

  async #endOrphans(): Promise<void> {
    if (this.#live.size === 0) await this.#removeDrafts();
    for (const record of await this.#folder.copies()) {
      if (this.#live.has(record.copy)) continue;
      const owner = record.owner === null ? null : await verdictNow(this.#world.host, record.owner);
      // Another supervisor's, or one that can't be seen.
      if (owner !== null && !isOver(owner)) continue;
      await this.#endRecorded(record);
    }
  }

  /** What a supervisor that was killed had half written: nobody else writes here, and nothing of ours was written yet. */
  async #removeDrafts(): Promise<void> {
    const { files } = this.#world.host;
    const { copies } = this.#folder.paths;
    for (const { name, kind } of await files.list(copies) ?? []) {
      if (kind === "file" && name.endsWith(".draft")) await files.remove(join(copies, name));
    }
  }

  /** What a process wrote to its standard output that is no message. A log that can't be written ends nobody. */
  async appendToLog(line: Uint8Array): Promise<void> {
    const text = new TextDecoder().decode(line);
    await this.#world.host.files.append(
      this.#folder.paths.log,
      text.endsWith("\n") ? text : `${text}\n`,
      FILE_MODE,
    ).catch(() => {});
  }

  /** Called now and then while a process lives. */
  async rotateLog(): Promise<void> {
    if (this.#live.size === 0) return;
    await rotateOpenLog(this.#world.host, this.#folder.paths.log, LOG_LIMIT_BYTES);
  }

  async #follow(
    child: PipedChild,
    { draft, logStart }: { draft: CopyRecord; logStart: number },
  ): Promise<Copy> {
    const { host } = this.#world;
    // From here on the child is ended whatever happens.
    const seen = (await host.processes.inspect([child.pid]).catch(() => null))?.get(child.pid);
    const startTime = seen?.kind === "seen" ? seen.facts.startTime : null;
    let record: CopyRecord = {
      ...draft,
      state: "ready",
      pid: child.pid,
      start_token: startTime,
      pgid: child.groupId,
      launcher_pid: child.pid,
      launcher_start_token: startTime,
    };
    let ending: Promise<void> | null = null;
    // One write after the other, none after its end.
    let noting: Promise<void> = Promise.resolve();
    const copy: Copy = {
      id: record.copy,
      child,
      startedMs: host.clock.monotonic(),
      identity: startTime === null ? null : { pid: child.pid, start_token: startTime },
      isAskedToEnd: false,
      exit: null,
      lastWords: null,
      noteServer: ({ name, version, protocol }) => {
        if (ending !== null) return;
        const ready_at = new Date(host.clock.now()).toISOString();
        record = { ...record, server_name: name, version, protocol, ready_at };
        this.#live.set(copy.id, { copy, record });
        const written = noting.then(() => this.#write(record));
        noting = written.catch((error) => this.#world.warn(`"${record.name}": ${String(error)}`));
      },
      // An end that failed, over a full disk say, is tried again by whoever asks next.
      end: () =>
        ending ??= noting.then(() => this.#end(copy, { record, logStart })).catch((error) => {
          ending = null;
          throw error;
        }),
    };
    this.#live.set(copy.id, { copy, record });
    child.exited.then(async (exit) => {
      copy.exit = exit;
      await copy.end();
    }).catch((error) => this.#world.warn(`"${record.name}": ${String(error)}`));
    try {
      await this.#write(record);
    } catch (error) {
      await copy.end();
      throw error;
    }
    // It lives, and is known by its record: without a word in the events it is of use all the same.
    await this.#folder.event("spawned", { pid: child.pid, start_token: startTime }).catch((error) =>
      this.#world.warn(`"${record.name}": ${String(error)}`)
    );
    return copy;
  }

  /** The end of what stands in the log since then: other processes of the server write there, too. */
  async #logSince(start: number): Promise<string> {
    const { files } = this.#world.host;
    const size = (await files.stat(this.#folder.paths.log))?.sizeBytes ?? 0;
    const from = Math.max(size < start ? 0 : start, size - OUTPUT_BYTES);
    const bytes = await files.readSlice(this.#folder.paths.log, from, size - from);
    return new TextDecoder().decode(bytes ?? new Uint8Array());
  }

  async #noteEnd(copy: Copy, { exit, logStart }: { exit: ExitStatus; logStart: number }): Promise<void> {
    const { host } = this.#world;
    const definition = this.#definition();
    const output = await this.#logSince(logStart);
    const hasStopped = copy.isAskedToEnd && exit.code === 0;
    if (!hasStopped) await keepCrashLog(host, this.#folder.paths);
    const lines = lastLines(output, SHOWN_LINES);
    const what = `"${definition.name}" ended with ${describeExit(exit)}`;
    copy.lastWords = lines === ""
      ? `${what}, without a word in its log`
      : `${what}; its last words:\n${lines}`;
    await this.#folder.event(hasStopped ? "stopped" : "crashed", { pid: copy.child.pid, message: what });
  }

  async #end(copy: Copy, { record, logStart }: { record: CopyRecord; logStart: number }): Promise<void> {
    const { host } = this.#world;
    const graceMs = this.#graceMs();
    // A process that closes its output is about to end, and how it ends is worth knowing.
    if (copy.exit === null) await Promise.race([copy.child.exited, host.clock.sleep(OWN_END_MS)]);
    const warn = (error: unknown) => this.#world.warn(`"${record.name}": ${String(error)}`);
    if (copy.exit !== null) await this.#noteEnd(copy, { exit: copy.exit, logStart }).catch(warn);
    else {
      copy.isAskedToEnd = true;
      await Promise.race([copy.child.stdin.close().catch(() => {}), host.clock.sleep(CLOSE_LIMIT_MS)]);
      await Promise.race([copy.child.exited, host.clock.sleep(graceMs / 2)]);
      await this.#folder.event("stopped", { pid: copy.child.pid }).catch(warn);
    }
    await this.#endRecorded(record);
    this.#live.delete(copy.id);
  }

  /** Ends what is provably the record's, and forgets it once that is gone. */
  async #endRecorded(record: CopyRecord): Promise<void> {
    const { host, signaller } = this.#world;
    const graceMs = this.#graceMs();
    const targets = ownedTargets(await this.#owned(record), new Set());
    const { survivors } = await climbLadder(host, { targets, signaller, graceMs: graceMs / 2 });
    if (survivors.length > 0 || (await this.#owned(record)).length > 0) {
      this.#world.warn(`"${record.name}": pid ${record.pid} could not be ended`);
      return;
    }
    // A process that can't be seen may live: its record is all that is left of it.
    if (
      record.pid !== null &&
      (await verdictNow(host, { pid: record.pid, start_token: record.start_token })).kind === "unknown"
    ) return;
    await this.#forget(record);
  }

  async #owned(record: CopyRecord): Promise<Owned[]> {
    const { processes } = this.#world.host;
    const [all, carriers] = await Promise.all([
      processes.list(),
      processes.carrying(`FOSTER_TOKEN=${record.token}`).catch((): number[] => []),
    ]);
    const pids = record.pid === null ? [] : [record.pid];
    return findOwned({
      record: withGroupOf(record, all.filter(({ pid }) => carriers.includes(pid))),
      seen: await processes.inspect(pids),
      processes: all,
      listenerPids: new Set(),
      carriers: new Set(carriers),
      signedPidFile: null,
    }).filter(({ why }) => why !== "tree");
  }

  async #write(record: CopyRecord): Promise<void> {
    const { files } = this.#world.host;
    await files.makeDir(this.#folder.paths.copies, FOLDER_MODE);
    await files.writeAtomic(
      join(this.#folder.paths.copies, `${record.copy}.json`),
      encodeRecord(record),
      FILE_MODE,
    );
  }

  /** Its session file first: while there is a record, the next supervisor finds what is left of it. */
  async #forget({ copy, session }: CopyRecord): Promise<void> {
    if (session !== null) await this.#world.host.files.remove(this.#folder.sessionFile(session));
    await this.#world.host.files.remove(join(this.#folder.paths.copies, `${copy}.json`));
  }

  async #self(): Promise<ProcessIdentity | null> {
    const { processes } = this.#world.host;
    const seen = (await processes.inspect([processes.selfPid])).get(processes.selfPid);
    return seen?.kind === "seen" ? { pid: processes.selfPid, start_token: seen.facts.startTime } : null;
  }
}

/** A start that was cut off before its child was recorded: the leader of a group that carries its token was that child. */
function withGroupOf(
  record: CopyRecord,
  carriers: readonly { pid: number; groupId: number; startTime: string }[],
): CopyRecord {
  if (record.pid !== null) return record;
  const leader = carriers.find(({ pid, groupId }) => pid === groupId);
  if (leader === undefined) return record;
  return { ...record, pid: leader.pid, start_token: leader.startTime, pgid: leader.pid };
}

/** The same world with another environment for what it starts. */
export function withEnvironment(world: World, environment: Record<string, string>): World {
  const env: Environment = { get: (name) => environment[name], all: () => ({ ...environment }) };
  return { ...world, host: { ...world.host, env } };
}
