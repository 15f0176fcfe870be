/**
 * Ends a bridge's server: because the bridge ends, because nobody uses it, or because it is given up.
 *
 * @module
 */
import { withoutProcess } from "../lifecycle/start/fail.ts";
import { stopServer } from "../lifecycle/stop/down.ts";
import type { Outcome } from "../lifecycle/row.ts";
import { endServer, isAllGone, PORT_WAIT_MS } from "../lifecycle/stop/end_server.ts";
import type { World } from "../lifecycle/world.ts";
import type { ServerRecord } from "../registry/record.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { BridgeJournal } from "./journal.ts";
import { exhausted } from "./outcomes.ts";
import type { BridgeEnd } from "./types.ts";
import { exhaustedMessage, type GiveUpStep } from "./policy.ts";
import type { SupervisedFolder } from "./supervised_folder.ts";

export class Ending {
  readonly #world: World;
  readonly #supervised: SupervisedFolder;
  readonly #journal: BridgeJournal;

  constructor(
    world: World,
    { supervised, journal }: { supervised: SupervisedFolder; journal: BridgeJournal },
  ) {
    this.#world = world;
    this.#supervised = supervised;
    this.#journal = journal;
  }

  /** Ends the bridge and, where it keeps the server and no other foster is at it already, the server. */
  async end(
    reason: string,
    { definition, isKeeper }: { definition: ServerDefinition; isKeeper: boolean },
  ): Promise<BridgeEnd> {
    const isDue = isKeeper && await this.#supervised.isLeftToUs();
    if (isDue) await this.#supervised.restoreLost();
    const outcome = isDue ? await this.#stopServer(definition, () => Promise.resolve(true)) : null;
    return this.#stopped(reason, outcome);
  }

  /** Null when somebody came to use the server, or pinned it, before it could be ended. */
  async endIdle(definition: ServerDefinition, isIdle: () => Promise<boolean>): Promise<BridgeEnd | null> {
    let isOver = false;
    const outcome = await this.#stopServer(definition, async () => isOver = await isIdle());
    return isOver ? this.#stopped("no clients left", outcome) : null;
  }

  /**
   * Ends a server that is not restarted any more, and leaves its record as crashed. Null when another foster had started
   * it anew before that.
   */
  async giveUp({ reason, attempts }: GiveUpStep, definition: ServerDefinition): Promise<BridgeEnd | null> {
    const { name, restart: { max } } = definition;
    const message = exhaustedMessage(name, { reason, attempts, max });
    let isReplaced = false;
    await this.#supervised.change(async (record) => {
      isReplaced = await this.#supervised.isReplaced(record);
      if (!isReplaced) await this.#endForGood(record, definition);
    }).catch((error) => this.#journal.report(error));
    if (isReplaced) return null;
    await this.#journal.note("exhausted", { message });
    this.#journal.say({ type: "exhausted", message, reason, restarts: attempts, max });
    return { kind: "failed", outcome: await exhausted(this.#supervised.folder, { name, message }) };
  }

  async #endForGood(record: ServerRecord, definition: ServerDefinition): Promise<void> {
    const { folder } = this.#supervised;
    const ended = await endServer(this.#world, {
      folder,
      record,
      definition,
      port: record.port,
      graceMs: definition.stop.graceMs,
      portWaitMs: PORT_WAIT_MS.stop,
      proof: null,
    });
    const isGone = isAllGone(ended);
    if (isGone) await folder.removeSessions();
    await this.#supervised.writeGivenUp(isGone ? withoutProcess(record) : record);
  }

  /** Under the lock the case is looked at once more: another foster may have pinned, leased or ended it since. */
  async #stopServer(definition: ServerDefinition, stillDue: () => Promise<boolean>): Promise<Outcome> {
    const { name, key } = definition;
    const uninterrupted: World = { ...this.#world, signal: new AbortController().signal };
    return await stopServer(uninterrupted, {
      name,
      key,
      definition,
      named: false,
      handoff: false,
      stillDue: async (record) =>
        record !== null && record.want === "up" && this.#supervised.isOurs(record) &&
        await this.#supervised.rivalIn(record) === null && await stillDue(),
    });
  }

  #stopped(reason: string, outcome: Outcome | null): BridgeEnd {
    this.#journal.say({ type: "stopped", reason });
    return outcome === null || outcome.kind === "done" ? { kind: "stopped" } : { kind: "failed", outcome };
  }
}
