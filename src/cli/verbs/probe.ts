import type { ProbeOutcome } from "../../mcp/outcome.ts";
import { handshake, type ProbeTarget } from "../../mcp/probe.ts";
import type { WireHost } from "../../mcp/wire.ts";
import { isLoopback } from "../../base/local_url.ts";
import { wholeText } from "../../registry/once_made.ts";
import { statePaths } from "../../registry/paths.ts";
import { readSupervisorFile } from "../../registry/supervisor_files.ts";
import { readAutoPorts } from "../../registry/auto_ports.ts";
import { endpointOf } from "../../lifecycle/observe/ports.ts";
import { requestHeaders, transportOf } from "../../lifecycle/observe/live.ts";
import { withOverrides } from "../../definitions/definition.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Args, UsageError } from "../args.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { pinServer } from "../stdio_servers.ts";
import { findTarget } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const DEFAULT_TIMEOUT_MS = 5000;
const PAUSE_MS = 50;
const PORT_PAUSE_MS = 200;

export const probe: Verb = {
  name: "probe",
  summary: "check an MCP server with a real handshake, and leave nothing behind",
  usage: "URL|NAME [OPTIONS]",
  details:
    "One attempt, or with --wait until it succeeds or the time is over. Exit code 0 or 1: usable as a\n" +
    "health check. A URL that ends in /sse is asked over the older SSE transport. The gateway's own address is asked\n" +
    "with its token.",
  options: [
    { name: "tool", kind: "texts", value: "T", summary: "a tool that must be there; may be repeated" },
    { name: "timeout", kind: "duration", value: "D", summary: "for one attempt (5s)" },
    { name: "wait", kind: "duration", value: "D", summary: "try again for so long" },
  ],
  examples: [
    ["probe demo --tool echo", "is the demo ready, and has it the tool echo?"],
    ["probe http://127.0.0.1:3001/mcp --wait 20s", "waits for a server that somebody else starts"],
  ],
  async run(context, args) {
    const stdio = await stdioDefinition(context, args);
    if (stdio !== null) return await probeStdio(context, args, stdio);
    const { clock, net } = context.host;
    const startedAt = clock.monotonic();
    const target = await targetInTime(context, args);
    const { output } = context;
    if (target.kind === "no_port") {
      const elapsed_ms = Math.round(clock.monotonic() - startedAt);
      const { message } = target;
      if (!output.json) output.problem(`not ready: ${message}`);
      else {
        const unknown = { endpoint: null, server: null, tools: [], missing_tools: [] };
        output.document({ ok: false, ...unknown, elapsed_ms, message });
      }
      return EXIT.no;
    }
    // Only an address that the user has just typed may lead off this machine.
    const fetch = isUrl(args.oneName("URL or server")) ? net.fetchAnywhere : net.fetch;
    const host = { clock, net: { fetch: fetch.bind(net) } };
    const outcome = await attempts({ host, signal: context.signal }, { args, target, startedAt });
    const endpoint = withoutUser(target.endpoint);
    const hideUser = (text: string) => text.replaceAll(target.endpoint.href, () => endpoint);
    const found = outcome.kind === "ok" ? outcome : outcome.found ?? null;
    const ok = outcome.kind === "ok";
    const document = {
      ok,
      endpoint,
      server: found?.server ?? null,
      tools: found?.tools ?? [],
      missing_tools: found?.missing ?? [],
      elapsed_ms: outcome.elapsedMs,
      message: outcome.kind === "ok" ? "" : hideUser(outcome.reason),
    };
    if (output.json) output.document(document);
    else if (outcome.kind === "ok") {
      const { name, version, protocol } = outcome.server;
      const tools = `${outcome.tools.length} tools`;
      output.line(
        `ready  ${endpoint}  ${name} ${version}  MCP ${protocol}  ${tools}  ${outcome.elapsedMs} ms`,
      );
    } else output.problem(`not ready: ${endpoint}: ${hideUser(outcome.reason)}`);
    return ok ? EXIT.done : EXIT.no;
  },
};

/** The definition of a server that speaks stdio and has no endpoint of an earlier start; null for all else. */
async function stdioDefinition(context: Context, args: Args): Promise<ServerDefinition | null> {
  const what = args.oneName("URL or server");
  if (isUrl(what) || urlMeant(what) !== null) return null;
  const { definition, record } = await findTarget(context, what);
  return record === null && definition?.transport === "stdio" ? definition : null;
}

/** A server that is not there is started for the probe, and ended after it. */
async function probeStdio(context: Context, args: Args, definition: ServerDefinition): Promise<ExitCode> {
  const { output, host: { clock } } = context;
  const startedAt = clock.monotonic();
  const timeoutMs = args.duration("wait") ?? args.duration("timeout") ?? definition.ready.timeoutMs;
  const { kind, row, tools } = await pinServer(worldOf(context), definition, { timeoutMs, stays: false });
  const missing = args.texts("tool").filter((tool) => !tools.includes(tool));
  const ok = kind === "done" && missing.length === 0;
  const message = kind !== "done" ? row.message : ok ? "" : `it lacks the tools ${missing.join(", ")}`;
  const elapsed_ms = Math.round(clock.monotonic() - startedAt);
  const { endpoint, server } = row;
  if (output.json) {
    output.document({ ok, endpoint, server, tools, missing_tools: missing, elapsed_ms, message });
  } else if (ok) {
    output.line(
      `ready  ${endpoint}  ${server.name} ${server.version}  ${tools.length} tools  ${elapsed_ms} ms`,
    );
  } else output.problem(`not ready: ${endpoint ?? definition.name}: ${message}`);
  return ok ? EXIT.done : EXIT.no;
}

type Timed = ProbeOutcome & { elapsedMs: number };

async function attempts(
  { host, signal }: { host: WireHost; signal: AbortSignal },
  { args, target, startedAt }: { args: Args; target: ProbeTarget; startedAt: number },
): Promise<Timed> {
  const { clock } = host;
  const timeoutMs = args.duration("timeout") ?? DEFAULT_TIMEOUT_MS;
  const waitMs = args.duration("wait") ?? 0;
  while (true) {
    const leftMs = Math.max(1, waitMs - (clock.monotonic() - startedAt));
    const outcome = await handshake(host, {
      ...target,
      timeoutMs: waitMs === 0 ? timeoutMs : Math.min(timeoutMs, leftMs),
      signal,
    });
    signal.throwIfAborted();
    const elapsedMs = Math.round(clock.monotonic() - startedAt);
    if (outcome.kind === "ok" || elapsedMs + PAUSE_MS >= waitMs) return { ...outcome, elapsedMs };
    await clock.sleep(PAUSE_MS, signal);
  }
}

/** As {@link targetOf}, with what the definition sends along. */
async function wholeTarget(
  { host }: Context,
  { target, definition }: { target: ProbeTarget; definition: ServerDefinition | null },
): Promise<ProbeTarget> {
  if (definition === null || Object.keys(definition.headers).length === 0) return target;
  return { ...target, headers: await requestHeaders(host, definition, target.endpoint.href) };
}

type FoundTarget = ProbeTarget & { kind: "target" } | { kind: "no_port"; message: string };

/** A server that never had a port may get one while there is time to wait. */
async function targetInTime(context: Context, args: Args): Promise<FoundTarget> {
  const { host: { clock }, signal } = context;
  const until = clock.monotonic() + (args.duration("wait") ?? 0);
  while (true) {
    const found = await targetOf(context, args);
    if (found.kind === "target" || clock.monotonic() + PORT_PAUSE_MS >= until) return found;
    await clock.sleep(PORT_PAUSE_MS, signal);
  }
}

async function targetOf(context: Context, args: Args): Promise<FoundTarget> {
  const what = args.oneName("URL or server");
  const requiredTools = args.texts("tool");
  if (isUrl(what)) {
    const endpoint = parseUrl(what);
    const transport = /\/sse\/?$/.test(endpoint.pathname) ? "sse" : "streamable-http";
    const headers = await gatewayHeaders(context, endpoint);
    return { kind: "target", endpoint, transport, requiredTools, ...headers === null ? {} : { headers } };
  }
  const meant = urlMeant(what);
  if (meant !== null) throw new UsageError(`${what} is not a URL`, `did you mean ${meant}?`);
  const { name, key, definition, record } = await findTarget(context, what);
  if (record !== null) {
    const transport = definition === null ? "streamable-http" : transportOf(definition);
    const target = {
      endpoint: new URL(record.endpoint),
      transport,
      requiredTools: toolsOf(requiredTools, definition),
    };
    return { kind: "target", ...await wholeTarget(context, { target, definition }) };
  }
  if (definition === null) {
    throw new UsageError(`"${name}" has no endpoint to probe`, `foster status "${name}" says why`);
  }
  const folder = context.state.server(key);
  const { port } = withOverrides(definition, await folder.overrides());
  const known = port === "auto" ? (await readAutoPorts(context.host, context.state))[key] : port;
  if (known === undefined) {
    return { kind: "no_port", message: `"${name}" has no port yet: foster up "${name}" gives it one` };
  }
  const endpoint = new URL(endpointOf(definition, known));
  const target = {
    endpoint,
    transport: transportOf(definition),
    requiredTools: toolsOf(requiredTools, definition),
  };
  return { kind: "target", ...await wholeTarget(context, { target, definition }) };
}

/** The gateway of this state folder is asked with its token, once it proved to be that gateway; null for all else. */
async function gatewayHeaders(
  { host, state }: Context,
  { hostname, port, protocol }: URL,
): Promise<Record<string, string> | null> {
  if (protocol !== "http:" || !isLoopback(hostname)) return null;
  const supervisor = await readSupervisorFile(host, state.path).catch(() => null);
  if (supervisor?.kind !== "file" || new URL(supervisor.value.endpoint).port !== port) return null;
  const { findSupervisor } = await import("../../supervisor/control_client.ts");
  if ((await findSupervisor(host, state.path)).kind !== "live") return null;
  const token = await wholeText(host, statePaths(state.path).gatewayToken);
  return token === null ? null : { authorization: `Bearer ${token}` };
}

function isUrl(what: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(what);
}

function toolsOf(
  asked: readonly string[],
  definition: { requiredTools: readonly string[] } | null,
): readonly string[] {
  return asked.length > 0 ? asked : definition?.requiredTools ?? [];
}

/** For an address without its scheme, such as no server's name looks like: `localhost:3000/mcp`. */
function urlMeant(text: string): string | null {
  if (!/^(?:\[[0-9a-f:]+\]|[a-z0-9][a-z0-9.-]*)(?::\d+|(?=\/))(?:\/\S*)?$/i.test(text)) return null;
  const url = `http://${text}`;
  if (!URL.canParse(url)) return null;
  return new URL(url).pathname === "/" ? new URL("/mcp", url).href : url;
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UsageError(`${hiddenUser(text)} is not a URL`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new UsageError(`${hiddenUser(text)}: only http and https endpoints can be probed`);
  }
  return url;
}

/** A user name and a password in an address are for the server alone. */
function withoutUser(endpoint: URL): string {
  const shown = new URL(endpoint);
  [shown.username, shown.password] = ["", ""];
  return shown.href;
}

/** As {@link withoutUser}, for what is no URL. */
function hiddenUser(text: string): string {
  return text.replace(/\/\/[^/@]*@/, "//");
}
