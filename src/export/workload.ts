/**
 * What runs as one container: which servers, under which name, and how it is asked whether it is ready.
 *
 * @module
 */
import { VERSION } from "../version.ts";
import { type ContainerServer, DATA_FOLDER } from "./container.ts";

export interface Workload {
  /** A DNS label: also the name of its service. */
  name: string;
  servers: readonly ContainerServer[];
  /** Of the gateway within the container. */
  port: number;
  /** The address at the gateway that stands for all of it. */
  path: string;
}

export const DEFAULT_IMAGE = `foster:${VERSION}`;
const GATEWAY_PORT = 8420;
export const CONFIG_FILE = "/etc/foster/foster.json";
export const TOKEN_FOLDER = "/run/secrets/foster";
/** The user that the image runs as. */
export const USER_ID = 10001;
/** Below the volume's own folder, which belongs to whoever made the volume: foster makes this one, for itself alone. */
export const STATE_FOLDER = `${DATA_FOLDER}/state`;

/** One for each server, or one for all. @throws RangeError for two servers that would have one name */
export function workloads(
  servers: readonly ContainerServer[],
  { together }: { together: boolean },
): Workload[] {
  const port = portBeside(servers);
  if (together) return [{ name: "foster", servers, port, path: "/mcp" }];
  const made = servers.map((server) => ({
    name: labelOf(server.name),
    servers: [server],
    port,
    path: `/mcp/${encodeURIComponent(server.name)}`,
  }));
  const twice = made.find(({ name }, index) => made.findIndex((each) => each.name === name) !== index);
  if (twice !== undefined) throw new RangeError(`two servers would both be called ${twice.name}`);
  return made;
}

/** No server of the container listens there. */
function portBeside(servers: readonly ContainerServer[]): number {
  const used = new Set(servers.flatMap(({ written }) => [written["port"], written["wsPort"]]));
  let port = GATEWAY_PORT;
  while (used.has(port)) port++;
  return port;
}

/** At most 63 characters of `[a-z0-9-]`, beginning with a letter. */
function labelOf(name: string): string {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 50).replaceAll(/^-+|-+$/g, "");
  return `foster-${plain}`.replace(/-$/, "");
}

/** The definition file of the container. */
export function definitionFile({ servers }: Workload): string {
  const byName = Object.fromEntries(servers.map(({ name, written }) => [name, written]));
  return `${JSON.stringify({ servers: byName }, null, 2)}\n`;
}

/** What foster is told there; `hosts` are the names that clients reach it by. */
export function serveArguments({ port }: Workload, hosts: readonly string[]): string[] {
  return [
    "serve",
    "--config",
    CONFIG_FILE,
    "--listen",
    "0.0.0.0",
    "--port",
    String(port),
    "--token-file",
    `${TOKEN_FOLDER}/token`,
    ...hosts.flatMap((host) => ["--host", host]),
  ];
}

/** A real handshake through the gateway. It starts the server only where it was never asked before. */
export function probeCommand({ port, path }: Workload): string[] {
  return ["foster", "probe", `http://127.0.0.1:${port}${path}`, "--timeout", "20s"];
}

/** Told once by name, each server's at its place. */
export function variablesOf({ servers }: Workload) {
  const all = new Map<string, { name: string; isOptional: boolean; what: string; server: string }>();
  for (const { name: server, variables } of servers) {
    for (const variable of variables) {
      const known = all.get(variable.name);
      const isOptional = variable.isOptional && (known?.isOptional ?? true);
      all.set(variable.name, { ...variable, isOptional, server });
    }
  }
  return [...all.values()].sort((one, other) => one.name < other.name ? -1 : 1);
}

/** What whoever reads the output should know of each server. */
export function warningsOf(servers: readonly ContainerServer[]): string[] {
  return servers.flatMap(({ name, warnings }) => warnings.map((warning) => `${name}: ${warning}`));
}
