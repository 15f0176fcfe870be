/**
 * From what was written to what it means: defaults, milliseconds, and the rules that go across keys.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { DEFAULTS, DEFAULTS_WITHIN } from "./defaults.ts";
import type { DefinitionSource, LaunchTier, ServerDefinition, Transport } from "./definition.ts";
import { DefinitionError, type DefinitionPlace } from "./definition_error.ts";
import { MAX_DURATION_MS, parseDuration } from "../base/duration.ts";
import type { WrittenServer } from "./schema.ts";
import { checkVariables } from "./variables.ts";

/** What the caller's environment says about waiting, in milliseconds; null where it says nothing usable. */
export interface EnvironmentOverrides {
  readyTimeoutMs: number | null;
  probeTimeoutMs: number | null;
  intervalMs: number | null;
}

/** Reads the overrides: what is no whole number is ignored, what is too small becomes the minimum. */
export function environmentOverrides(get: (name: string) => string | undefined): EnvironmentOverrides {
  return {
    readyTimeoutMs: wholeMs(get("FOSTER_READY_TIMEOUT_MS"), 1),
    probeTimeoutMs: wholeMs(get("FOSTER_PROBE_TIMEOUT_MS"), 1),
    intervalMs: wholeMs(get("FOSTER_INTERVAL_MS"), 100),
  };
}

function wholeMs(text: string | undefined, minimumMs: number): number | null {
  if (text === undefined || !/^\s*[+-]?\d+\s*$/.test(text)) return null;
  return Math.min(MAX_DURATION_MS, Math.max(minimumMs, Number(text)));
}

export interface NormaliseOptions {
  name: string;
  key: string;
  source: DefinitionSource;
  baseFolder: string;
  /** Under `mcpServers` an entry with neither port nor transport is a stdio server. */
  section: "servers" | "mcpServers";
  overrides: EnvironmentOverrides;
}

/** Expects `written` in the schema's shape. @throws DefinitionError where keys contradict or lack one another. */
export function normalise(written: WrittenServer, options: NormaliseOptions): ServerDefinition {
  const { name, key, source, baseFolder, section, overrides } = options;
  const place = { file: source.kind === "file" ? source.file : null, server: name };
  const said = { ...DEFAULTS, ...defined(written) };
  const ready = { ...DEFAULTS.ready, ...written.ready };
  const restart = { ...DEFAULTS.restart, ...written.restart };
  const stop = { ...DEFAULTS.stop, ...written.stop };
  const definition: ServerDefinition = {
    name,
    key,
    source,
    baseFolder,
    launch: launchTiers(written, place),
    args: said.args,
    cwd: said.cwd,
    env: said.env,
    host: said.host,
    ...endpoint(written, { place, section }),
    wsPort: said.wsPort,
    path: said.path,
    version: said.version,
    identity: { ...DEFAULTS.identity, ...written.identity },
    brand: said.brand,
    brandFlags: said.brandFlags,
    requiredTools: said.requiredTools,
    labels: said.labels,
    ready: {
      check: ready.check,
      timeoutMs: overrides.readyTimeoutMs ?? toMs(ready.timeout),
      probeTimeoutMs: overrides.probeTimeoutMs ?? toMs(ready.probeTimeout),
    },
    restart: {
      max: restart.max,
      misses: restart.misses,
      intervalMs: overrides.intervalMs ?? toMs(restart.interval),
      backoffMs: toMs(restart.backoff),
      backoffMaxMs: toMs(restart.backoffMax),
      stableAfterMs: toMs(restart.stableAfter),
    },
    stop: { graceMs: toMs(stop.grace) },
    refreshArgs: said.refreshArgs,
    modeEnv: said.modeEnv,
    ownerEnv: said.ownerEnv,
    telemetry: telemetry(written, place),
    devSource: devSource(written, place),
    session: session(written, place),
    link: written.link ? { ...DEFAULTS_WITHIN.link, ...written.link } : null,
    written,
  };
  checkAllVariables(definition, place);
  return definition;
}

/** Without the keys that are there and undefined: they count as unwritten. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
}

/** Expects text that the schema has checked. */
function toMs(text: string): number {
  return parseDuration(text) ?? 0;
}

function launchTiers(written: WrittenServer, place: Partial<DefinitionPlace>): LaunchTier[] {
  const { command, launch } = written;
  if (command !== undefined && launch !== undefined) {
    throw new DefinitionError('stands beside "command"', {
      ...place,
      key: "launch",
      hint: "keep one of the two",
    });
  }
  if (launch !== undefined) return launch.map((tier) => ({ ...tier, args: tier.args ?? [] }));
  if (command !== undefined) return [{ tier: "command", command, args: [] }];
  throw new DefinitionError("is missing", {
    ...place,
    key: "command",
    hint: 'give the program that starts it, e.g. "command": "npx", or "extends": "<preset>"',
  });
}

function endpoint(
  written: WrittenServer,
  { place, section }: { place: Partial<DefinitionPlace>; section: NormaliseOptions["section"] },
): { port: number | "auto"; transport: Transport } {
  const { port } = written;
  const usual = section === "mcpServers" && port === undefined ? "stdio" : DEFAULTS.transport;
  const transport = written.transport ?? usual;
  if (port === undefined && transport !== "stdio") {
    throw new DefinitionError("is missing", {
      ...place,
      key: "port",
      hint: '"port": "auto" lets foster choose one and keep it; "transport": "stdio" needs none',
    });
  }
  return { port: port ?? "auto", transport };
}

function telemetry(
  { telemetry }: WrittenServer,
  place: Partial<DefinitionPlace>,
): ServerDefinition["telemetry"] {
  if (!telemetry) return null;
  const { disable, env } = { ...DEFAULTS_WITHIN.telemetry, ...telemetry };
  if (disable && env.length === 0) {
    throw new DefinitionError("must name at least one variable", { ...place, key: "telemetry.env" });
  }
  return { disable, env };
}

function devSource(
  { devSource }: WrittenServer,
  place: Partial<DefinitionPlace>,
): ServerDefinition["devSource"] {
  if (!devSource) return null;
  const { marker, mode } = { ...DEFAULTS_WITHIN.devSource, ...devSource };
  if (marker === undefined) throw new DefinitionError("is missing", { ...place, key: "devSource.marker" });
  return { marker, mode };
}

function session({ session }: WrittenServer, place: Partial<DefinitionPlace>): ServerDefinition["session"] {
  if (!session) return null;
  const { env, payload } = { ...DEFAULTS_WITHIN.session, ...session };
  if (env === undefined) throw new DefinitionError("is missing", { ...place, key: "session.env" });
  return { env, payload };
}

function checkAllVariables(definition: ServerDefinition, place: Partial<DefinitionPlace>): void {
  const plain = definition.written.launch === undefined;
  definition.launch.forEach((tier, index) => {
    checkTexts(tier.command, { ...place, key: plain ? "command" : `launch.${index}.command` });
    checkTexts(tier.args, { ...place, key: `launch.${index}.args` });
  });
  checkTexts(definition.args, { ...place, key: "args" });
  checkTexts(definition.cwd, { ...place, key: "cwd" });
  checkTexts(definition.env, { ...place, key: "env" });
  checkTexts(definition.session?.payload, { ...place, key: "session.payload" });
}

function checkTexts(value: unknown, place: Partial<DefinitionPlace>): void {
  if (typeof value === "string") return checkVariables(value, place);
  if (!Array.isArray(value) && !isObject(value)) return;
  for (const [key, each] of Object.entries(value)) checkTexts(each, { ...place, key: `${place.key}.${key}` });
}
