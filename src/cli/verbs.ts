/**
 * Every verb, loaded when it is asked for: `ps` must not pay for `connect`.
 *
 * @module
 */
import type { VerbLoaders } from "./verb.ts";

/** In the order of the help. */
export const VERBS: VerbLoaders = {
  up: async () => (await import("./verbs/up.ts")).up,
  down: async () => (await import("./verbs/down.ts")).down,
  restart: async () => (await import("./verbs/restart.ts")).restart,
  recover: async () => (await import("./verbs/recover.ts")).recover,
  handoff: async () => (await import("./verbs/handoff.ts")).handoff,
  run: async () => (await import("./verbs/run.ts")).run,
  serve: async () => (await import("./verbs/serve.ts")).serve,
  connect: async () => (await import("./verbs/connect.ts")).connect,
  link: async () => (await import("./verbs/link.ts")).link,
  status: async () => (await import("./verbs/status.ts")).status,
  ps: async () => (await import("./verbs/ps.ts")).ps,
  top: async () => (await import("./verbs/top.ts")).top,
  ui: async () => (await import("./verbs/ui.ts")).ui,
  logs: async () => (await import("./verbs/logs.ts")).logs,
  probe: async () => (await import("./verbs/probe.ts")).probe,
  doctor: async () => (await import("./verbs/doctor.ts")).doctor,
  register: async () => (await import("./verbs/register.ts")).register,
  sweep: async () => (await import("./verbs/sweep.ts")).sweep,
  warm: async () => (await import("./verbs/warm.ts")).warm,
  presets: async () => (await import("./verbs/presets.ts")).presets,
  schema: async () => (await import("./verbs/schema.ts")).schema,
  init: async () => (await import("./verbs/init.ts")).init,
  import: async () => (await import("./verbs/import.ts")).importServers,
  attach: async () => (await import("./verbs/attach.ts")).attach,
  detach: async () => (await import("./verbs/detach.ts")).detach,
  export: async () => (await import("./verbs/export.ts")).exportServers,
  update: async () => (await import("./verbs/update.ts")).update,
  version: async () => (await import("./verbs/version.ts")).version,
  completions: async () => (await import("./verbs/completions.ts")).completions,
};

/** What people type for lack of a better word, and what it is called here: suggested, never run. */
export const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["start", "up"],
  ["stop", "down"],
  ["kill", "down"],
  ["list", "ps"],
  ["ls", "ps"],
  ["tail", "logs"],
  ["upgrade", "update"],
]);

/** Not for people: for shells, and started by foster itself. */
export const HIDDEN_VERBS: VerbLoaders = {
  "ask-console": async () => (await import("./verbs/ask_console.ts")).askConsole,
  complete: async () => (await import("./verbs/complete.ts")).complete,
  "demo-server": async () => (await import("./verbs/demo_server.ts")).demoServer,
  supervisor: async () => (await import("./verbs/supervisor.ts")).supervisor,
};
