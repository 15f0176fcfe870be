/**
 * What `--verbose` and `FOSTER_TRACE=1` show: each step of a start with its time, and at the end what foster asked of the
 * system. Nothing of it is loaded, and nothing counted, where nobody asked.
 *
 * @module
 */
import { basename } from "@std/path";
import type { Host } from "../host/host.ts";
import type { Trace } from "../lifecycle/trace.ts";

export interface Tracing {
  /** The host that counts what it is asked. */
  host: Host;
  trace: Trace;
  /** Says what was counted. */
  finish(): void;
}

/** Begins to count; `say` takes one line. */
export function startTracing(host: Host, verb: string, say: (line: string) => void): Tracing {
  const { clock } = host;
  const begunMs = clock.monotonic();
  const lastMs = new Map<string, number>();
  const helpers = new Map<string, number>();
  let probes = 0;
  let systemCalls = 0;
  const stopCounting = host.processes.onHelper((command) => {
    const program = basename(command).replace(/\.exe$/i, "");
    helpers.set(program, (helpers.get(program) ?? 0) + 1);
  });
  const countProbe = () => probes += 1;
  const countCall = () => systemCalls += 1;
  say(`trace: ${verb} begins`);
  return {
    host: {
      ...host,
      net: counted(host.net, countProbe),
      files: counted(host.files, countCall),
      processes: counted(host.processes, countCall),
    },
    trace: {
      step(server, step) {
        const nowMs = clock.monotonic();
        const deltaMs = nowMs - (lastMs.get(server) ?? begunMs);
        lastMs.set(server, nowMs);
        say(
          `trace: "${server}": ${step} (delta_ms=${Math.round(deltaMs)} total_ms=${
            Math.round(nowMs - begunMs)
          })`,
        );
      },
      note: (server, text) => say(`trace: "${server}": ${text}`),
    },
    finish() {
      stopCounting();
      const run = [...helpers].map(([program, count]) => ` ${program}=${count}`).join("");
      const sum = [...helpers.values()].reduce((total, count) => total + count, 0);
      const totalMs = Math.round(clock.monotonic() - begunMs);
      say(
        `trace: ${verb} is done (total_ms=${totalMs} helper_programs=${sum}${run} probes=${probes} ` +
          `system_calls=${systemCalls})`,
      );
    },
  };
}

/** The same object, with every call of a method counted. */
function counted<T extends object>(target: T, count: () => void): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        count();
        return value.apply(object, args);
      };
    },
  });
}
