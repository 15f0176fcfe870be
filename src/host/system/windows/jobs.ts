/**
 * Job objects as process groups: each server that foster starts gets one, named by the identity of its first process,
 * whose pid is the group's number. The job lists the whole tree, also what lost its parent.
 *
 * @module
 */
import type { ProcessFacts } from "../../host.ts";
import type { Job, Native } from "./native.ts";

type Leader = Pick<ProcessFacts, "pid" | "startTime">;

export class Jobs {
  readonly #native: Native;
  /** Those that this foster made: their names live as long as it does, also where the first process ended. */
  readonly #held = new Map<number, { job: Job; leader: Leader }>();

  constructor(native: Native) {
    this.#native = native;
  }

  /** A job for a process that is to lead it; null where there can be none. */
  create(leader: Leader): Job | null {
    const job = this.#native.createJob(nameOf(leader));
    if (job !== null) this.#held.set(leader.pid, { job, leader });
    return job;
  }

  /** Lets go of a job that nobody is in any more. */
  forget(leader: Leader): void {
    const held = this.#held.get(leader.pid);
    if (held?.leader.startTime !== leader.startTime || held.job.pids().length > 0) return;
    this.#held.delete(leader.pid);
    held.job.close();
  }

  /** To be closed by the caller. Without a start time only a job that this foster made is found. */
  open(pid: number, startTime: string | undefined): Job | null {
    const leader = startTime === undefined ? this.#held.get(pid)?.leader : { pid, startTime };
    return leader === undefined ? null : this.#native.openJob(nameOf(leader));
  }

  /** The group of each of `processes` that is in one. */
  groups(processes: readonly Leader[]): Map<number, number> {
    const leaders = new Map(processes.map((each) => [each.pid, each]));
    for (const [pid, { leader }] of this.#held) if (!leaders.has(pid)) leaders.set(pid, leader);
    const found: { leader: number; pids: number[] }[] = [];
    for (const leader of leaders.values()) {
      const job = this.#native.openJob(nameOf(leader));
      if (job === null) continue;
      found.push({ leader: leader.pid, pids: job.pids() });
      job.close();
    }
    // A job's list has those of the jobs inside it too: the innermost one, the smallest, has the last word.
    found.sort((a, b) => b.pids.length - a.pids.length);
    return new Map(found.flatMap(({ leader, pids }) => pids.map((pid): [number, number] => [pid, leader])));
  }

  /** The group of one process that may be in some job; 0 where no foster made that. */
  groupOf(process: Leader): number {
    const own = this.#native.openJob(nameOf(process));
    if (own === null) return this.#othersGroup(process.pid);
    try {
      return own.pids().includes(process.pid) ? process.pid : 0;
    } finally {
      own.close();
    }
  }

  #othersGroup(pid: number): number {
    const leaders = this.#native.processes().flatMap(({ pid, createdAt }) =>
      createdAt === null ? [] : [{ pid, startTime: `cim:${createdAt}` }]
    );
    return this.groups(leaders).get(pid) ?? 0;
  }
}

function nameOf({ pid, startTime }: Leader): string {
  return `foster ${pid} ${startTime}`;
}
