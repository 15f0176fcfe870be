/**
 * The environment of package tools that foster runs.
 *
 * @module
 */
import type { Host } from "../host/host.ts";

/**
 * `env` without what the runtime refuses to hand on: under scoped permissions Deno starts nothing at all with a variable
 * that changes which libraries a program loads.
 */
export function toolEnvironment(
  { engine }: Pick<Host, "engine">,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  if (engine.fullAccess) return { ...env };
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:LD|DYLD)_/.test(name)));
}
