import { follow, lastLinesOf } from "../../registry/log_reader.ts";
import { type Outcome, rowDocument } from "../../lifecycle/row.ts";
import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
import type { World } from "../../lifecycle/world.ts";
import { loadDefinitions } from "../../definitions/load.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { specHash } from "../../definitions/hash.ts";
import { withinReach } from "../../host/host.ts";
import { type Resident, startResident } from "../../gateway/resident.ts";
import type { SupervisedServer } from "../../supervisor/enrolment.ts";
import { recordIn } from "../../registry/store.ts";
import { type ControlClient, ControlError, findSupervisor } from "../../supervisor/control_client.ts";
import { enrolledServer } from "../../supervisor/enrol.ts";
import { ensureSupervisor, ownEnvironment, reviveSupervisor } from "../../supervisor/ensure.ts";
import type { ServerNews } from "../../supervisor/supervisor.ts";
import type { Args } from "../args.ts";
import { bringIn } from "../brought_in.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { readOwner } from "../owner.ts";
import { exitCodeOf } from "../rows.ts";
import { RunOutput } from "../run_output.ts";
import { wantedDefinitions } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const CONFIG_LOOK_MS = 1000;
/** Longer than any grace that makes sense. */
const STOP_MS = 10 * 60_000;
const PIN_MS = 120_000;
const PIN_LOOK_MS = 2000;
/** Between two looks for the next supervisor. */
const RETRY_MS = 200;
const TRIES = 5;
/** A supervisor that lived for so long was no failure. */
const LASTED_MS = 5000;

export const run: Verb = {
  name: "run",
  handlesInterrupts: true,
  summary: "keep servers up on their endpoints through crashes and hangs, with their logs",
  usage: "[NAME…] [OPTIONS]",
  details:
    "Stays in the foreground, with every server of the definition file where none is named. Ctrl-C stops them and\n" +
    "exits 0, twice ends them by force. The budget is each definition's restart.",
  options: [
    { name: "owner-pid", kind: "number", value: "N", summary: "end them when this process ends" },
    { name: "timeout", kind: "duration", value: "D", summary: "how long a start may take" },
    { name: "watch", kind: "flag", summary: "apply changes of the definition file as they come" },
    { name: "stop-exhausted", kind: "flag", summary: "stop all once one is given up" },
  ],
  examples: [
    ["run", "every server of the definition file, with its log lines"],
    ["run demo --json", "one JSON object per event and line"],
  ],
  async run(context, args) {
    await bringIn(context, args.names);
    const definitions = await wantedDefinitions(context, args);
    if (definitions.length === 0) return EXIT.done;
    const ownerPid = await readOwner(context, args);
    return await new Run(context, { args, definitions, ownerPid }).run();
  },
};

/** One server of this run. */
interface Running {
  definition: ServerDefinition;
  server: SupervisedServer;
  /** Null once it ended as asked. */
  end: Promise<Outcome | null>;
  logs: AbortController;
}

/** Where the loops of its servers are: in this process, or in the supervisor that is there. */
interface Keeper {
  enrol(server: SupervisedServer, onNews: (news: ServerNews) => void): Promise<Outcome | null>;
  /** A process of a stdio server that stays. */
  pin(server: SupervisedServer): Promise<Outcome>;
  rest(keys: readonly string[]): Promise<void>;
  /** Ends the servers, however many. */
  stop(keys: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

class Run {
  readonly #context: Context;
  readonly #world: World;
  readonly #args: Args;
  readonly #ownerPid: number | null;
  readonly #output: RunOutput;
  readonly #running = new Map<string, Running>();
  /** Ends the wait for a stdio server, by key. */
  readonly #pinned = new Map<string, () => void>();
  /** Rejects where the wait for a server's end does, whoever waits for it then. */
  readonly #failed = Promise.withResolvers<never>();
  #first: readonly ServerDefinition[];
  #outcomes = new Map<string, Outcome>();
  #isStopping = false;

  constructor(context: Context, { args, definitions, ownerPid }: {
    args: Args;
    definitions: readonly ServerDefinition[];
    ownerPid: number | null;
  }) {
    this.#context = context;
    this.#args = args;
    this.#ownerPid = ownerPid;
    this.#first = definitions;
    this.#output = new RunOutput(context.output, definitions.map(({ name }) => name));
    // What is kept here is ended in good order: the interrupt is heeded by hand.
    this.#world = { ...worldOf(context), signal: new AbortController().signal };
    this.#failed.promise.catch(() => {});
  }

  async run(): Promise<ExitCode> {
    const keeper = await this.#keeper();
    const interrupted = this.#interrupted();
    const watching = new AbortController();
    try {
      for (const definition of this.#first) await this.#add(keeper, definition);
      const watch = this.#watchConfig(keeper, watching.signal).catch((error) => this.#say(String(error)));
      await Promise.race([this.#allEnded(), interrupted.promise, this.#failed.promise]);
      watching.abort();
      await watch;
      await this.#stop(keeper, [...this.#running.keys()]);
    } finally {
      watching.abort();
      interrupted.stop();
      await keeper.close();
    }
    await reviveSupervisor(this.#world).catch(() => {});
    return exitCodeOf(this.#first.flatMap(({ key }) => this.#outcomes.get(key) ?? []));
  }

  /** Resolves at the first interrupt. The second one ends the servers by force. */
  #interrupted(): { promise: Promise<void>; stop(): void } {
    const { signal, host: { terminal } } = this.#context;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
    let count = signal.aborted ? 1 : 0;
    const stop = terminal.onInterrupt(["SIGINT", "SIGTERM"], () => {
      count++;
      if (count === 2) this.#force().catch((error) => this.#say(String(error)));
    });
    return { promise, stop };
  }

  async #allEnded(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.race([...this.#running.values()].map(({ end }) => end));
      if (
        this.#args.flag("stop-exhausted") &&
        [...this.#outcomes.values()].some(({ kind }) => kind === "exhausted")
      ) {
        return;
      }
    }
  }

  async #keeper(): Promise<Keeper> {
    const started = await startResident(this.#world, {
      port: null,
      stay: false,
      gateway: null,
      needsPort: false,
      onNews: () => {},
      onError: ({ name }, error) => this.#context.output.detail(`${name}: ${detailOf(error)}`),
      say: (text) => this.#say(text),
    });
    if (started.kind === "started") return await keeperHere(started.resident);
    const supervisor = await ensureSupervisor(this.#world);
    if (supervisor.kind === "without") throw new Error(supervisor.why);
    return keeperThere(this.#world);
  }

  async #add(keeper: Keeper, definition: ServerDefinition): Promise<void> {
    const { host } = this.#world;
    const server = await enrolledServer(this.#world, definition, {
      startedBy: "run",
      idleMs: null,
      timeoutMs: this.#args.duration("timeout"),
      ownerPid: this.#ownerPid ?? host.processes.selfPid,
    });
    const logs = new AbortController();
    const enrolled = definition.transport === "stdio"
      ? this.#pin(keeper, server)
      : keeper.enrol(server, (news) => this.#output.news(server, news));
    const end = enrolled.then((outcome) => {
      logs.abort();
      this.#running.delete(server.key);
      if (outcome !== null) this.#report(server, outcome);
      return outcome;
    });
    end.catch(this.#failed.reject);
    this.#running.set(server.key, { definition, server, end, logs });
    this.#showLog(server, logs.signal).catch((error) => this.#context.output.detail(detailOf(error)));
  }

  /** Resolves with why it did not start, or once it is stopped: the gateway keeps it until then. */
  async #pin(keeper: Keeper, server: SupervisedServer): Promise<Outcome | null> {
    const outcome = await keeper.pin(server);
    if (outcome.kind !== "done") return outcome;
    this.#output.news(server, { type: "ready", row: outcome.row });
    return await new Promise((resolve) => this.#pinned.set(server.key, () => resolve(null)));
  }

  #report({ name, key }: SupervisedServer, outcome: Outcome): void {
    const { output } = this.#context;
    // Taken away by another foster before this run had it: no failure of its own.
    if (this.#isStopping && outcome.kind === "no") return;
    this.#outcomes.set(key, outcome);
    const { kind, row } = outcome;
    if (output.json) return output.event({ type: "outcome", kind, row: rowDocument(row), name, key });
    output.problem(row.message);
    if (row.hint !== "") output.problem(`  ${row.hint}`);
  }

  async #showLog({ name, key }: SupervisedServer, signal: AbortSignal): Promise<void> {
    const { host, state } = this.#world;
    const path = state.server(key).paths.log;
    const { offset } = await lastLinesOf(host, path, { count: 0 });
    for await (const line of follow(host, { path, offset, signal })) this.#output.log({ name, key }, line);
  }

  async #stop(keeper: Keeper, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    this.#isStopping = true;
    const ends = keys.map((key) => this.#running.get(key)?.end);
    const isStdio = (key: string) => this.#running.get(key)?.definition.transport === "stdio";
    await Promise.all([
      keeper.stop(keys.filter((key) => !isStdio(key))),
      keeper.rest(keys.filter(isStdio)),
    ]);
    for (const key of keys) this.#pinned.get(key)?.();
    await Promise.all(ends);
  }

  /** The stop ladder that is under way finds them gone. */
  async #force(): Promise<void> {
    const { state, signaller } = this.#world;
    this.#say("ended by force");
    for (const key of [...this.#running.keys()]) {
      const record = recordIn(await state.server(key).read());
      for (
        const [pid, startTime] of [
          [record?.launcher_pid, record?.launcher_start_token],
          [record?.pid, record?.start_token],
        ] as const
      ) {
        if (pid == null || startTime == null) continue;
        const anchors = [{ pid, start_token: startTime }];
        if (record?.pgid != null) {
          await signaller.send({ kind: "group", groupId: record.pgid, anchors }, "SIGKILL");
        }
        await signaller.send({ kind: "process", pid, startTime }, "SIGKILL");
      }
    }
  }

  #say(text: string): void {
    if (this.#context.output.json) this.#context.output.event({ type: "said", message: text });
    else this.#context.output.talk(text);
  }

  // ------------------------------------------------------------------------------------------ the definition file

  /** Says what a change of the definition file means, and applies it with `--watch`. */
  async #watchConfig(keeper: Keeper, signal: AbortSignal): Promise<void> {
    const { host } = this.#world;
    const { file } = await this.#context.definitions();
    if (file === null) return;
    const stamp = async () => {
      const stat = await withinReach(host.files.stat(file), null);
      return stat === null ? "" : `${stat.modifiedAt} ${stat.sizeBytes}`;
    };
    let seen = await stamp();
    while (!signal.aborted) {
      await host.clock.sleep(CONFIG_LOOK_MS, signal).catch(() => {});
      const now = await stamp();
      if (signal.aborted || now === seen) continue;
      seen = now;
      await this.#applyConfig(keeper, file).catch((error) =>
        this.#say(
          `${file} changed, but can't be used: ${error instanceof Error ? error.message : String(error)}`,
        )
      );
    }
  }

  async #applyConfig(keeper: Keeper, file: string): Promise<void> {
    const { host, callerFolder } = this.#world;
    const loaded = await loadDefinitions(host, { configFlag: file, callerFolder });
    const isAll = this.#args.names.length === 0;
    const wanted = loaded.inFile.filter(({ name }) => isAll || this.#args.names.includes(name));
    const changed = wanted.filter((definition) => {
      const running = this.#running.get(definition.key);
      return running !== undefined && specHash(running.definition) !== specHash(definition);
    });
    const added = wanted.filter(({ key }) => isAll && !this.#running.has(key));
    const removed = [...this.#running.values()].filter(({ definition: { source, key } }) =>
      source.kind === "file" && !wanted.some((each) => each.key === key)
    );
    const names = (all: readonly { name: string }[]) => all.map(({ name }) => `"${name}"`).join(", ");
    const parts = [
      ...(changed.length === 0 ? [] : [`${names(changed)} changed`]),
      ...(added.length === 0 ? [] : [`${names(added)} came`]),
      ...(removed.length === 0 ? [] : [`${names(removed.map(({ definition }) => definition))} went`]),
    ];
    if (parts.length === 0) return;
    const isApplied = this.#args.flag("watch");
    const hint = isApplied ? "" : "; foster run --watch applies that, foster up a change of one that runs";
    const message = `${file}: ${parts.join(", ")}${hint}`;
    if (this.#context.output.json) {
      this.#context.output.event({ type: "config_changed", message, applied: isApplied });
    } else this.#context.output.talk(message);
    if (!isApplied) return;
    await this.#stop(keeper, removed.map(({ server: { key } }) => key));
    this.#isStopping = false;
    for (const definition of changed) {
      const running = this.#running.get(definition.key);
      if (running === undefined) continue;
      running.definition = definition;
      // The gateway gives it a new process, once no call is in flight.
      if (definition.transport === "stdio") continue;
      // The loop takes over what was started anew.
      const { kind, row } = await startServer(this.#world, definition, { ...PLAIN_START, startedBy: "run" });
      if (kind !== "done") this.#say(row.message);
    }
    for (const definition of added) await this.#add(keeper, definition);
  }
}

async function keeperHere(resident: Resident): Promise<Keeper> {
  const { supervisor } = resident;
  await resident.restore();
  const running = resident.run();
  return {
    async enrol(server, onNews) {
      const enrolment = supervisor.enrol({ server, adoptOnly: false, environment: null });
      const unfollow = enrolment.follow(onNews);
      const end = await enrolment.end;
      unfollow();
      return end.kind === "failed" ? end.outcome : null;
    },
    pin: (server) => resident.pin({ server, environment: null, timeoutMs: server.timeout_ms, stays: true }),
    rest: (keys) => resident.rest(keys, { stays: false }),
    stop: async (keys) => {
      await Promise.all(keys.map((key) => supervisor.stop(key)));
    },
    async close() {
      await resident.close(({ by }, startedBy) => by === "run" || startedBy === "connect");
      await running;
    },
  };
}

function keeperThere(world: World): Keeper {
  const environment = ownEnvironment(world);
  /** Those that others had put there: shown, but not ended. */
  const kept = new Set<string>();
  const known = new Set<string>();
  const pinned = new Map<string, SupervisedServer>();
  const leaving = new AbortController();
  const { signal } = leaving;
  const control = async () => {
    const supervisor = await ensureSupervisor(world);
    if (supervisor.kind === "without") throw new ControlError(supervisor.why);
    return supervisor.control;
  };
  /** Until it succeeds with a supervisor that lives, or this run leaves. */
  const lasting = async (work: (control: ControlClient) => Promise<void>) => {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = world.host.clock.monotonic();
      try {
        return await work(await control());
      } catch (error) {
        if (signal.aborted) return;
        if (world.host.clock.monotonic() - startedAt > LASTED_MS) failures = 0;
        if (!(error instanceof ControlError) || ++failures >= TRIES) throw error;
        await world.host.clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
  };
  const pin = async (server: SupervisedServer) =>
    await (await control()).pin(
      { server, environment, timeoutMs: server.timeout_ms, stays: true },
      PIN_MS,
    );
  /** The next supervisor knows no process of this run's that speaks stdio. */
  const keepPinned = async () => {
    let watched = await findSupervisor(world.host, world.state.path);
    while (!signal.aborted) {
      await world.host.clock.sleep(PIN_LOOK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      const found = await findSupervisor(world.host, world.state.path);
      const isSame = found.kind !== "none" && watched.kind !== "none" &&
        found.record.pid === watched.record.pid && found.record.start_token === watched.record.start_token;
      if (isSame) continue;
      for (const server of pinned.values()) await pin(server).catch(() => {});
      watched = await findSupervisor(world.host, world.state.path);
    }
  };
  return {
    async enrol(server, onNews) {
      let outcome: Outcome | null = null;
      await lasting(async (control) =>
        await control.enrol({
          server,
          adoptOnly: false,
          environment,
          follow: true,
          resumes: known.has(server.key),
        }, {
          signal,
          timeoutMs: null,
          onLine(line) {
            switch (line.type) {
              case "accepted":
                if (line.kept && !known.has(server.key)) kept.add(server.key);
                known.add(server.key);
                return true;
              case "progress":
                onNews(line);
                return true;
              case "outcome":
                return true;
              case "news":
                onNews(line.news);
                return true;
              case "end":
                outcome = line.outcome;
                return false;
            }
          },
        })
      );
      return outcome;
    },
    async pin(server) {
      const outcome = await pin(server);
      if (outcome.kind !== "done") return outcome;
      if (pinned.size === 0) keepPinned().catch(() => {});
      pinned.set(server.key, server);
      return outcome;
    },
    async rest(keys) {
      for (const key of keys) pinned.delete(key);
      if (keys.length > 0) await (await control()).rest(keys, { stays: false, timeoutMs: STOP_MS });
    },
    async stop(keys) {
      const own = keys.filter((key) => !kept.has(key));
      if (own.length > 0) await (await control()).stop(own, STOP_MS);
      if (keys.some((key) => kept.has(key))) leaving.abort(new Error("left"));
    },
    close() {
      leaving.abort(new Error("left"));
      return Promise.resolve();
    },
  };
}

function detailOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
