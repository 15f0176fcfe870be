import { MAX_DURATION_MS } from "./duration.ts";

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
