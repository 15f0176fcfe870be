/**
 * From what was written to what it means: defaults, milliseconds, and the rules that go across keys.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { DEFAULTS } from "./defaults.ts";
import type { DefinitionSource, LaunchTier, ServerDefinition, Transport } from "./definition.ts";
import { DefinitionError, type DefinitionPlace } from "./definition_error.ts";
import { parseDuration } from "./duration.ts";
import type { EnvironmentOverrides } from "./environment_overrides.ts";
import type { WrittenServer } from "./schema.ts";
import { checkVariables } from "./variables.ts";

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
  const { ready = {}, restart = {}, stop = {}, identity = {} } = written;
  const definition: ServerDefinition = {
    name,
    key,
    source,
    baseFolder,
    launch: launchTiers(written, place),
    args: written.args ?? [],
    cwd: written.cwd ?? DEFAULTS.cwd,
    env: written.env ?? {},
    host: written.host ?? DEFAULTS.host,
    ...endpoint(written, { place, section }),
    wsPort: written.wsPort ?? null,
    path: written.path ?? DEFAULTS.path,
    version: written.version ?? null,
    identity: { name: identity.name ?? null, statusPath: identity.statusPath ?? null },
    brand: written.brand ?? [],
    brandFlags: written.brandFlags ?? [],
    requiredTools: written.requiredTools ?? [],
    labels: written.labels ?? [],
    ready: {
      check: ready.check ?? DEFAULTS.ready.check,
      timeoutMs: overrides.readyTimeoutMs ?? toMs(ready.timeout ?? DEFAULTS.ready.timeout),
      probeTimeoutMs: overrides.probeTimeoutMs ?? toMs(ready.probeTimeout ?? DEFAULTS.ready.probeTimeout),
    },
    restart: {
      max: restart.max ?? DEFAULTS.restart.max,
      misses: restart.misses ?? DEFAULTS.restart.misses,
      intervalMs: overrides.intervalMs ?? toMs(restart.interval ?? DEFAULTS.restart.interval),
      backoffMs: toMs(restart.backoff ?? DEFAULTS.restart.backoff),
      backoffMaxMs: toMs(restart.backoffMax ?? DEFAULTS.restart.backoffMax),
      stableAfterMs: toMs(restart.stableAfter ?? DEFAULTS.restart.stableAfter),
    },
    stop: { graceMs: toMs(stop.grace ?? DEFAULTS.stop.grace) },
    refreshArgs: written.refreshArgs ?? null,
    modeEnv: written.modeEnv ?? null,
    ownerEnv: written.ownerEnv ?? null,
    telemetry: telemetry(written, place),
    devSource: devSource(written, place),
    session: session(written, place),
    link: link(written),
    written,
  };
  checkAllVariables(definition, place);
  return definition;
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
  const { disable = false, env = [] } = telemetry;
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
  const { marker, mode = DEFAULTS.devSourceMode } = devSource;
  if (marker === undefined) throw new DefinitionError("is missing", { ...place, key: "devSource.marker" });
  return { marker, mode };
}

function session({ session }: WrittenServer, place: Partial<DefinitionPlace>): ServerDefinition["session"] {
  if (!session) return null;
  const { env, payload = {} } = session;
  if (env === undefined) throw new DefinitionError("is missing", { ...place, key: "session.env" });
  return { env, payload };
}

function link({ link }: WrittenServer): ServerDefinition["link"] {
  if (!link) return null;
  const { clientName = null, clientVersion = null, runtimeVersion = null, launchMode = null } = link;
  return { clientName, clientVersion, runtimeVersion, launchMode };
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
