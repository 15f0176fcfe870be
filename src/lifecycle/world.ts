import type { DetachedChild, Host } from "../host/host.ts";
import type { ServerRecord } from "../registry/record.ts";
import type { StateFolder } from "../registry/store.ts";
import type { Signaller } from "./stop/signal.ts";
import type { Trace } from "./trace.ts";

/** What the actions of the lifecycle work with. */
export interface World {
  readonly host: Host;
  readonly state: StateFolder;
  readonly signaller: Signaller;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
  readonly callerFolder: string;
  /** What each `${cmd:…}` printed, kept for restarts; left out where nothing is kept. */
  readonly commandOutputs?: Pick<Map<string, string>, "get" | "set">;
  /** The current step for a server, for people. */
  progress(name: string, text: string): void;
  warn(text: string): void;
  /**
   * Called when a server was ended, before another one is started in its place: the only time at which uv's stale build
   * folders can be removed on Windows. Never throws.
   */
  afterEnd?(): Promise<void>;
  /** Left out where nobody asked for it. */
  readonly trace?: Trace;
  /** Called for every server process that is spawned, with its record. */
  onSpawn?(child: DetachedChild, record: ServerRecord): void;
}

/** Now, as records keep it. */
export function isoNow(host: Pick<Host, "clock">): string {
  return new Date(host.clock.now()).toISOString();
}
