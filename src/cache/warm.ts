/**
 * Fetches what a start will need, without starting it.
 *
 * @module
 */
import { type Host, HostError } from "../host/host.ts";
import { quoteName } from "../base/printable.ts";
import { tellingLines } from "../base/telling_lines.ts";
import { toolEnvironment } from "./tools.ts";
import { type LaunchCommand, type WarmPlan, warmPlan } from "./warm_plan.ts";

export type WarmHost = Pick<Host, "clock" | "engine"> & { processes: Pick<Host["processes"], "run"> };

export const DEFAULT_WARM_TIMEOUT_MS = 600_000;

/** How many lines of what the tool said are quoted. */
const SHOWN_LINES = 3;

export interface WarmOptions {
  /** The server's name, for messages. */
  server: string;
  launch: LaunchCommand;
  cwd: string;
  /** As the server will have it: it may say which index and which cache. */
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Called with each line that the tool printed, once it has ended. */
  log?: (line: string) => void;
  signal?: AbortSignal;
}

export interface WarmResult {
  /** False where there was nothing to fetch. */
  fetched: boolean;
  /** What was fetched, or why nothing was. */
  what: string;
  elapsedMs: number;
  message: string;
}

export class WarmError extends Error {
  override readonly name = "WarmError";
  constructor(
    readonly code: "no_command" | "timeout" | "failed",
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Runs the tool that the launch will use, on its own cache.
 *
 * @throws WarmError where the tool can't be run, fails or takes longer than `timeoutMs`; the signal's reason once it is
 * aborted (the tool is then left to end by itself or by its timeout)
 */
export async function warm(host: WarmHost, options: WarmOptions): Promise<WarmResult> {
  const { clock } = host;
  const plan = warmPlan(options.launch);
  const name = JSON.stringify(options.server);
  switch (plan.kind) {
    case "nothing":
      return {
        fetched: false,
        what: plan.why,
        elapsedMs: 0,
        message: `Nothing to fetch for ${name}: ${plan.why}`,
      };
    case "fetch": {
      const started = clock.monotonic();
      await runTool(host, plan, options);
      const elapsedMs = clock.monotonic() - started;
      const message = `Fetched ${quoteName(plan.what)} for ${name}`;
      return { fetched: true, what: plan.what, elapsedMs, message };
    }
  }
}

type FetchPlan = Extract<WarmPlan, { kind: "fetch" }>;

async function runTool(host: WarmHost, plan: FetchPlan, options: WarmOptions): Promise<void> {
  const { cwd, timeoutMs, log, signal } = options;
  const doing = `Cannot fetch ${quoteName(plan.what)} for ${JSON.stringify(options.server)}`;
  signal?.throwIfAborted();
  const env = toolEnvironment(host, options.env);
  const ended = host.processes.run(plan.command, plan.args, { timeoutMs, cwd, env });
  const { code, signal: killedBy, stdout, stderr } = await untilAborted(ended, signal).catch((error) => {
    throw error instanceof HostError ? asWarmError(error, plan, { doing, timeoutMs }) : error;
  });
  const said = [...lines(stderr), ...lines(stdout)];
  for (const line of said) log?.(line);
  if (code === 0) return;
  const how = killedBy === null ? `ended with code ${code}` : `was ended by ${killedBy}`;
  const telling = tellingLines(stderr.trim() === "" ? stdout : stderr, SHOWN_LINES);
  const cause = telling.map((line) => line.trim()).join("; ");
  throw new WarmError(
    "failed",
    `${doing}: ${plan.command} ${how}${cause === "" ? "" : `: ${cause}`}`,
    `run it by hand to see more: ${[plan.command, ...plan.args].map(quoteName).join(" ")}`,
  );
}

function asWarmError(
  error: HostError,
  plan: FetchPlan,
  { doing, timeoutMs }: { doing: string; timeoutMs: number },
): WarmError {
  switch (error.code) {
    case "timeout":
      return new WarmError(
        "timeout",
        `${doing}: ${plan.command} did not end within ${timeoutMs} ms`,
        "look at the network, or allow more time with --timeout",
        { cause: error },
      );
    case "not_found":
    case "denied":
    case "no_permission":
      return new WarmError(
        "no_command",
        `${doing}: ${error.message}`,
        `look whether ${plan.command} can be run`,
        {
          cause: error,
        },
      );
    case "exists":
    case "busy":
    case "no_space":
    case "unsupported":
    case "failed":
      return new WarmError(
        "failed",
        `${doing}: ${error.message}`,
        `look whether ${plan.command} can be run`,
        {
          cause: error,
        },
      );
  }
}

/** @throws the signal's reason, when that comes first */
async function untilAborted<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await result;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([result, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    result.catch(() => {});
  }
}

function lines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== "");
}
