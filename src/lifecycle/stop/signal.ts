/**
 * The one place that signals servers and supervisors. Nothing is signalled here whose identity was not proven a moment
 * before. Who may be signalled: observe/ownership.ts and observe/proof.ts; in which order: ladder.ts. A helper program
 * of foster's own that is late is ended where it was started, in host/engine/node/processes.ts.
 *
 * @module
 */
import { type Host, isSameStart, type ProcessFacts, type Signal } from "../../host/host.ts";
import type { ProcessIdentity } from "../../registry/record.ts";

/**
 * A process, or a process group. A group is proven by an anchor: a process (zombies count, they hold the number) that
 * is still the one that was seen in the group before. While one such member lives the group's number can't be reused.
 */
export type SignalTarget =
  | { kind: "process"; pid: number; startTime: string }
  | { kind: "group"; groupId: number; anchors: ProcessIdentity[] };

export type SignalOutcome =
  | { kind: "sent" }
  | { kind: "gone" }
  | { kind: "denied" }
  | { kind: "refused"; why: string };

const ANCESTOR_LIMIT = 64;

export class Signaller {
  readonly #processes: Host["processes"];
  #protected: Promise<{ pids: Set<number>; groups: Set<number> }> | null = null;

  constructor(host: Pick<Host, "processes">) {
    this.#processes = host.processes;
  }

  /** Verifies the target again, then signals it. Never signals 0, 1, foster itself, its ancestors or their groups. */
  async send(target: SignalTarget, signal: Signal): Promise<SignalOutcome> {
    this.#protected ??= this.#findProtected();
    const { pids, groups } = await this.#protected;
    switch (target.kind) {
      case "process": {
        if (target.pid <= 1 || pids.has(target.pid)) {
          return { kind: "refused", why: `pid ${target.pid} is never signalled` };
        }
        const seen = (await this.#processes.inspect([target.pid])).get(target.pid);
        if (seen === undefined || seen.kind === "gone") return { kind: "gone" };
        if (seen.kind === "unknown") return { kind: "refused", why: `pid ${target.pid}: ${seen.why}` };
        if (!isSameStart(seen.facts.startTime, target.startTime)) return { kind: "gone" };
        if (seen.facts.zombie) return { kind: "gone" };
        return { kind: await this.#processes.signal(target.pid, signal, target.startTime) };
      }
      case "group": {
        if (target.groupId <= 1 || groups.has(target.groupId)) {
          return { kind: "refused", why: `group ${target.groupId} is never signalled` };
        }
        if (!await this.#isAnchored(target.groupId, target.anchors)) return { kind: "gone" };
        const leader = target.anchors.find(({ pid }) => pid === target.groupId)?.start_token;
        return { kind: await this.#processes.signal(-target.groupId, signal, leader) };
      }
    }
  }

  async #isAnchored(groupId: number, anchors: readonly ProcessIdentity[]): Promise<boolean> {
    const seen = await this.#processes.inspect(anchors.map((anchor) => anchor.pid));
    return anchors.some((anchor) => {
      const process = seen.get(anchor.pid);
      return process?.kind === "seen" && isSameStart(process.facts.startTime, anchor.start_token) &&
        process.facts.groupId === groupId;
    });
  }

  async #findProtected(): Promise<{ pids: Set<number>; groups: Set<number> }> {
    const pids = new Set([0, 1, this.#processes.selfPid]);
    const groups = new Set([0, 1]);
    let pid = this.#processes.selfPid;
    for (let hops = 0; hops < ANCESTOR_LIMIT && pid > 0; hops++) {
      const facts: ProcessFacts | null = await this.#facts(pid);
      if (facts === null) break;
      pids.add(pid);
      groups.add(facts.groupId);
      pid = facts.parentPid;
    }
    return { pids, groups };
  }

  async #facts(pid: number): Promise<ProcessFacts | null> {
    const seen = (await this.#processes.inspect([pid])).get(pid);
    return seen?.kind === "seen" ? seen.facts : null;
  }
}
