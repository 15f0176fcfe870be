/**
 * What the readers of the three systems offer to the host, and what they are given to work with.
 *
 * @module
 */
import type { Ffi } from "../ffi.ts";
import type { Net, Processes, RunOptions, RunResult } from "../host.ts";

export interface ReaderTools {
  /** Runs a helper program in the cleared helper environment. @throws HostError as {@link Processes.run} */
  run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult>;
  /** One of foster's own environment variables. */
  env(name: string): string | undefined;
  /** A process that every honest look must find: foster itself. */
  readonly selfPid: number;
  /** Milliseconds that never go back, for caches. */
  monotonic(): number;
  /** Null where the engine or its permissions have none. */
  readonly ffi: Ffi | null;
  /** Node's word for the processor. */
  readonly arch: string;
  /** Direct access to /proc; null where the runtime's permissions refuse it. */
  readonly direct: DirectAccess | null;
}

/** Every call may throw; a reader turns "no such file" into gone and all else into unknown. */
export interface DirectAccess {
  /** Reads to the end or to `limitBytes`, in chunks: procfs reports size 0. Null when there is no such file. */
  readBytes(path: string, limitBytes: number): Uint8Array | null;
  /** All of a file, beside other work: some tables take the kernel milliseconds to write down. */
  readWhole(path: string): Promise<Uint8Array | null>;
  readLink(path: string): string | null;
  listNames(path: string): string[];
}

export type SystemReader =
  & Pick<
    Processes,
    | "pidNamespace"
    | "unitPath"
    | "inspect"
    | "list"
    | "argv"
    | "paths"
    | "usage"
    | "carrying"
    | "carryingPrefix"
    | "listeners"
    | "listeningPorts"
    | "foreignConnections"
  >
  & Pick<Net, "reservedRanges">;
