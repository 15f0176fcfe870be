/**
 * Machines for the tests of sweep: the real one, and one in memory whose processes use what the test says.
 *
 * @module
 */
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import type { FolderUse } from "../../src/host/host.ts";
import type { SweepHost, SweepOptions } from "../../src/cache/sweep.ts";
import { FakeHost, type FakeHostOptions } from "../host/fake_host.ts";

export const hourMs = 3_600_000;

/** The machine that the tests run on. */
export function realMachine(): Promise<SweepHost> {
  return createDenoHost();
}

export interface FakeMachine {
  fake: FakeHost;
  host: SweepHost;
  /** By full path; a folder that is not in it is free. */
  uses: Map<string, FolderUse>;
}

export function fakeMachine(options: FakeHostOptions = {}): FakeMachine {
  const fake = new FakeHost({ startedAt: 100 * hourMs, ...options });
  return { fake, host: fake, uses: fake.processes.uses };
}

export function sweepOptions(cacheDir: string, options: Partial<SweepOptions> = {}): SweepOptions {
  return { apply: true, cacheDir, minAgeMs: hourMs, ...options };
}
