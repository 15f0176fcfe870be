import { Signaller } from "../lifecycle/stop/signal.ts";
import type { World } from "../lifecycle/world.ts";
import { sweepCache } from "./sweep_after_stop.ts";
import type { Context } from "./verb.ts";

/** What the lifecycle works with, for one run of a verb. */
export function worldOf(context: Context): World {
  const { host, state, signal, callerFolder, output, trace } = context;
  return {
    host,
    state,
    signal,
    callerFolder,
    signaller: new Signaller(host),
    commandOutputs: new Map(),
    progress: (name, text) => output.progress(`${name}: ${text}`),
    trace: trace ?? undefined,
    warn: (text) => output.talk(text),
    afterEnd: () => sweepCache(context),
  };
}
