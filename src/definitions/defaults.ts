/** What a definition means where it says nothing. Durations are as a user would write them. */
export const DEFAULTS = {
  cwd: ".",
  host: "127.0.0.1",
  path: "/mcp",
  transport: "streamable-http",
  ready: { check: "mcp", timeout: "30s", probeTimeout: "5s" },
  restart: {
    max: 20,
    misses: 3,
    interval: "2s",
    backoff: "250ms",
    backoffMax: "30s",
    stableAfter: "60s",
  },
  stop: { grace: "5s" },
  devSourceMode: "prefix",
} as const;
