/**
 * What a definition means where it says nothing, once: the validator's schema, the normaliser and the hash read it here.
 * Durations are as a user would write them.
 */
export const DEFAULTS = {
  args: [],
  cwd: ".",
  env: {},
  host: "127.0.0.1",
  wsPort: null,
  path: "/mcp",
  transport: "streamable-http",
  sharing: "auto",
  idle: null,
  headers: {},
  envFile: null,
  stdin: "null",
  version: null,
  identity: { name: null, statusPath: null },
  brand: [],
  brandFlags: [],
  requiredTools: [],
  labels: [],
  ready: { check: "mcp", timeout: "30s", probeTimeout: "5s" },
  restart: {
    max: 20,
    misses: 3,
    interval: "2s",
    backoff: "250ms",
    backoffMax: "30s",
    stableAfter: "60s",
  },
  call: { timeout: "1h" },
  stop: { grace: "5s", command: null },
  refreshArgs: null,
  modeEnv: null,
  ownerEnv: null,
  telemetry: null,
  devSource: null,
  session: null,
  link: null,
} as const;

/** The same inside the objects that are null unless somebody writes them. */
export const DEFAULTS_WITHIN = {
  telemetry: { disable: false, env: [] },
  devSource: { mode: "prefix" },
  session: { payload: {} },
  link: {
    clientName: null,
    clientVersion: null,
    runtimeVersion: null,
    launchMode: null,
    commandTimeouts: {},
  },
} as const;

/** In place of `DEFAULTS.path` for a server of this transport. */
export const SSE_PATH = "/sse";
