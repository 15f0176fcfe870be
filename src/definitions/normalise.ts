/**
 * From what was written to what it means: defaults, milliseconds, and the rules that go across keys.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { splitWords } from "../base/words.ts";
import { DEFAULTS, DEFAULTS_WITHIN, SSE_PATH } from "./defaults.ts";
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
  overrides: EnvironmentOverrides;
}

/** Expects `written` in the schema's shape. @throws DefinitionError where keys contradict or lack one another. */
export function normalise(written: WrittenServer, options: NormaliseOptions): ServerDefinition {
  const { name, key, source, baseFolder, overrides } = options;
  const place = { file: source.kind === "file" ? source.file : null, server: name };
  const said = { ...DEFAULTS, ...defined(written) };
  const ready = { ...DEFAULTS.ready, ...written.ready };
  const restart = { ...DEFAULTS.restart, ...written.restart };
  const call = { ...DEFAULTS.call, ...written.call };
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
    ...endpoint(written, place),
    wsPort: said.wsPort,
    sharing: said.sharing,
    idleMs: said.idle === null || said.idle === "never" ? said.idle : toMs(said.idle),
    headers: said.headers,
    envFile: said.envFile,
    stdin: said.stdin,
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
    call: { timeoutMs: toMs(call.timeout) },
    stop: { graceMs: toMs(stop.grace), command: stopCommand(stop.command, place) },
    refreshArgs: said.refreshArgs,
    modeEnv: said.modeEnv,
    ownerEnv: said.ownerEnv,
    telemetry: telemetry(written, place),
    devSource: devSource(written, place),
    session: session(written, place),
    link: link(written),
    written,
  };
  checkAllVariables(definition, place);
  return definition;
}

/** Without the keys that are there and undefined: they count as unwritten. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
}

function link(written: WrittenServer): ServerDefinition["link"] {
  if (!written.link) return null;
  const { commandTimeouts, ...said } = { ...DEFAULTS_WITHIN.link, ...defined(written.link) };
  const timeouts: [string, string][] = Object.entries(commandTimeouts);
  const commandTimeoutsMs = Object.fromEntries(timeouts.map(([command, time]) => [command, toMs(time)]));
  return { ...said, commandTimeoutsMs };
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

/** Without port and transport it is a stdio server. */
function endpoint(
  written: WrittenServer,
  place: Partial<DefinitionPlace>,
): { port: number | "auto"; path: string; transport: Transport } {
  const { port } = written;
  const transport = written.transport ?? (port === undefined ? "stdio" : DEFAULTS.transport);
  if (port === undefined && transport !== "stdio") {
    throw new DefinitionError("is missing", {
      ...place,
      key: "port",
      hint: '"port": "auto" lets foster choose one and keep it; "transport": "stdio" needs none',
    });
  }
  const path = written.path ?? (transport === "sse" ? SSE_PATH : DEFAULTS.path);
  return { port: port ?? "auto", path, transport };
}

/** One text is split into words as a shell would. */
function stopCommand(
  command: string | readonly string[] | null,
  place: Partial<DefinitionPlace>,
): readonly string[] | null {
  if (typeof command !== "string") return command;
  const words = splitWords(command);
  if (words === null) {
    throw new DefinitionError("has a quote without its partner", {
      ...place,
      key: "stop.command",
      hint: 'a list of words needs no quotes: ["docker", "stop", "docs"]',
    });
  }
  return words;
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
  checkTexts(definition.envFile, { ...place, key: "envFile" });
  checkTexts(definition.headers, { ...place, key: "headers" });
  checkTexts(definition.stop.command, { ...place, key: "stop.command" });
  checkTexts(definition.session?.payload, { ...place, key: "session.payload" });
}

function checkTexts(value: unknown, place: Partial<DefinitionPlace>): void {
  if (typeof value === "string") return checkVariables(value, place);
  if (!Array.isArray(value) && !isObject(value)) return;
  for (const [key, each] of Object.entries(value)) checkTexts(each, { ...place, key: `${place.key}.${key}` });
}
