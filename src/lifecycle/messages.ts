/**
 * What foster says when a start does not end with a ready server.
 *
 * @module
 */
import { tellingLines } from "../base/telling_lines.ts";
import type { StatusSnapshot } from "../mcp/snapshot.ts";
import type { LastExit, ServerRecord } from "../registry/record.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { passesPortOn } from "../definitions/variables.ts";
import type { Explanation } from "./row.ts";

export interface IncompatibleFacts {
  name: string;
  port: number;
  wsPort: number | null;
  expectedName: string;
  expectedVersion: string | null;
  live: StatusSnapshot | null;
  /** `pid 812 (python3)`, several joined, or "" where nobody can be named. */
  holders: string;
  canRecover: boolean;
  /** The definition leaves the HTTP port to foster. */
  isAuto: boolean;
  /** What an earlier command line still says of what stands in the way. */
  overrides: Overrides;
}

/** Who holds the port and how that differs from what is wanted, with both ways out. */
export function incompatibleMessage(facts: IncompatibleFacts): Explanation {
  const { live, port, expectedName, expectedVersion } = facts;
  const by = facts.holders === "" ? "" : ` (${facts.holders})`;
  const wanted = expectedVersion === null ? expectedName : `${expectedName} ${expectedVersion}`;
  // A foreign name hides the version: it would say nothing about this server.
  const version = live !== null && (live.name === "" || live.name === expectedName) ? live.version : "";
  let what: string;
  if (
    live?.name === expectedName && live.wsPort > 0 && facts.wsPort !== null && live.wsPort !== facts.wsPort
  ) {
    what = `${expectedName} ${version} with WebSocket port ${live.wsPort} instead of ${facts.wsPort}`;
  } else if (version !== "") {
    what = `${live?.name === expectedName ? expectedName : "a server of"} version ${version}, not ${wanted}`;
  } else if (live !== null && live.statusCode > 0) {
    what = `an unverified server (HTTP ${live.statusCode})`;
  } else {
    what = "another process";
  }
  const from = version !== "" && live?.packagePath ? ` (loaded from ${live.packagePath})` : "";
  const away = `stop that process, or ${otherPortsHint(facts)}`;
  return {
    message: `Cannot start "${facts.name}": port ${port} is held by ${what}${from}${by}`,
    hint: joinHints(
      overridesHint(facts.name, facts.overrides),
      facts.canRecover ? `foster recover "${facts.name}" replaces it; or ${away}` : away,
    ),
  };
}

/** How to get past the holder of the port; a server of the same kind holds its WebSocket port, too. */
function otherPortsHint({ name, isAuto, wsPort, live, expectedName }: IncompatibleFacts): string {
  if (isAuto && (wsPort === null || live?.name !== expectedName)) return anotherPortHint(name, isAuto);
  const ports = wsPort === null ? "its port" : "both its HTTP port and its WebSocket port";
  return `change ${ports} in the definition of "${name}"`;
}

export interface HeldPort {
  port: number;
  /** As {@link IncompatibleFacts.holders}. */
  holders: string;
  endpoint: string;
  overriddenPort: number | null;
  /** The definition leaves the port to foster. */
  isAuto: boolean;
}

export function foreignPortMessage(name: string, held: HeldPort): Explanation {
  const { port, holders } = held;
  const who = holders === "" ? "a process that can't be seen from here (another user's?)" : holders;
  return {
    message: `Cannot start "${name}": port ${port} is held by ${who}, which foster did not start`,
    hint: heldPortHint(name, { ...held, isNamed: false }),
  };
}

/** Another server of foster's own holds the port. */
export function otherServerMessage(
  name: string,
  { port, holders, overriddenPort, isAuto, server }: Omit<HeldPort, "endpoint"> & { server: ServerRecord },
): Explanation {
  return {
    message: `Cannot start "${name}": port ${port} is held by ${describeServer(server, holders)}`,
    hint: joinHints(
      overridesHint(name, { port: overriddenPort }),
      `foster down ${server.key} ends that one`,
      anotherPortHint(name, isAuto),
    ),
  };
}

/** `pid 812 (node), which is foster server "docs" of /srv/docs/foster.json`. */
export function describeServer({ name, config }: ServerRecord, holders: string): string {
  return `${holders}, which is foster server "${name}"${config === null ? "" : ` of ${config}`}`;
}

function anotherPortHint(name: string, isAuto: boolean): string {
  return isAuto
    ? `foster up "${name}" --port auto chooses another port and keeps it`
    : `give "${name}" another port (foster up "${name}" --port N, or "port": "auto")`;
}

/** What helps against a foreign process on the port. Without an `identity.name` it is never asked who it is. */
export function heldPortHint(
  name: string,
  { endpoint, overriddenPort, isAuto, isNamed }: Pick<HeldPort, "endpoint" | "overriddenPort" | "isAuto"> & {
    isNamed: boolean;
  },
): string {
  return joinHints(
    overridesHint(name, { port: overriddenPort }),
    `stop it where it was started, or ${anotherPortHint(name, isAuto)}`,
    isNamed
      ? ""
      : `to use it as it is, the definition needs "identity": { "name": … } (foster probe ${endpoint} prints the name)`,
  );
}

/** For a server that never listened where it was to; "" where it was told the port. */
export function unheardHint(definition: ServerDefinition, port: number): string {
  return passesPortOn(definition, port)
    ? ""
    : 'nothing in "command", "args" or "env" passes the port on: "${port}" does';
}

/** What the last answer, or the output, of a server that never got ready suggests; "" where they suggest nothing. */
export function answerHint(
  { host, transport, path, headers }: Pick<ServerDefinition, "host" | "transport" | "path" | "headers">,
  { last, output }: { last: string; output: string },
): string {
  if (/\brunning on stdio\b/i.test(output)) return 'it speaks stdio: "transport": "stdio" in its definition';
  switch (/\bHTTP (\d{3})\b/.exec(last)?.[1]) {
    case "401":
      return Object.keys(headers).length === 0
        ? 'it asks for authorization: "headers": { "Authorization": "Bearer ${env:NAME}" } in its definition'
        : 'it does not accept what "headers" in its definition say';
    case "403":
      return host === "localhost"
        ? ""
        : 'a server that checks the Host it is asked by wants "host": "localhost"';
    case "404":
      return transport === "sse"
        ? `nothing is at ${path}: "path" in its definition (the usual one for sse is "/sse")`
        : `nothing is at ${path}: "path" in its definition`;
    default:
      return "";
  }
}

/** Null where nobody saw it end. */
export function describeExit(exit: Pick<LastExit, "code" | "signal"> | null): string {
  if (exit === null) return "an unknown exit code";
  return exit.signal !== null ? `signal ${exit.signal}` : `exit code ${exit.code ?? "unknown"}`;
}

/** For a server that ended by itself and well: its standard input is at its end from the beginning. */
export const inputEndHint =
  `a server that stops at the end of its standard input wants "stdin": "open" in its definition`;

const RESERVED = /winerror 10013|forbidden by its access permissions/i;
const IN_USE = /errno 98\b|winerror 10048|address already in use|eaddrinuse/i;
const NO_INTERPRETER = /^(?:\/usr\/bin\/)?env: ['‘"]?([^'’":\s\\]+)['’"]?: No such file/m;
const NO_MODULE = /modulenotfounderror|no module named/i;

/** What the end of a crashed server's log says about the reason, "" where nothing is known. */
export function outputHint(output: string, port: number): string {
  if (RESERVED.test(output)) return reservedPortHint(port);
  if (IN_USE.test(output)) {
    return `port ${port} was taken by somebody else: foster doctor ports names the holder`;
  }
  const missing = NO_INTERPRETER.exec(output)?.[1];
  if (missing !== undefined) {
    return `${missing}, which the first line of its script names, is not on PATH: install it, or give its full path there`;
  }
  if (NO_MODULE.test(output)) {
    return "its package is incomplete in uv's cache: uv cache clean, then try again";
  }
  return "";
}

export function reservedPortHint(port: number): string {
  return `Windows reserves port ${port}: as administrator type "net stop winnat" and then "net start winnat", ` +
    `or choose another port`;
}

/** The lines of an output that tell most of why it ended, for an error message. */
export function lastLines(output: string, count: number): string {
  return tellingLines(output, count).join("\n");
}

/** What the system said of a start, with the parts of the definition as they are written: values are not told. */
export function withoutValues(
  text: string,
  launch: Readonly<Record<"command" | "maskedCommand" | "cwd" | "maskedCwd", string>>,
): string {
  return text.replaceAll(launch.command, () => launch.maskedCommand)
    .replaceAll(launch.cwd, () => launch.maskedCwd);
}

/** What an earlier command line said with `--port` and `--version`, which hold until `down`. */
export interface Overrides {
  port: number | null;
  version: string | null;
}

/** That an earlier command line still counts, and how to be rid of it; "" where there was none. */
export function overridesHint(name: string, { port, version }: Partial<Overrides>): string {
  const said = [port == null ? "" : `--port ${port}`, version == null ? "" : `--version ${version}`]
    .filter((each) => each !== "");
  if (said.length === 0) return "";
  const [holds, them] = said.length === 1 ? ["holds", "it"] : ["hold", "them"];
  return `${
    said.join(" and ")
  } of an earlier foster up still ${holds}; foster down "${name}" forgets ${them}`;
}

/** How to get another version than the one that was found. */
/** What a server that answers is, and is not. */
export function describeMismatch(
  { name, identity, version }: Pick<ServerDefinition, "name" | "identity" | "version">,
  { live, reason }: { live: Pick<StatusSnapshot, "name" | "version">; reason: string },
): string {
  const found = `${live.name || "a nameless server"} ${live.version}`.trim();
  const wanted = `${identity.name ?? ""} ${version ?? ""}`.trim();
  return `"${name}" turned out to be ${found}, not ${wanted} (${reason})`;
}

export function versionHint(
  name: string,
  { remembered, asked }: Record<"remembered" | "asked", string | null>,
): string {
  if (remembered !== null) return overridesHint(name, { version: remembered });
  if (asked !== null) {
    return `--version ${asked} asked for that and is remembered; foster down "${name}" forgets it`;
  }
  return `correct "version" in its definition`;
}

export function joinHints(...hints: readonly string[]): string {
  return hints.filter((hint) => hint !== "").join("; ");
}

export function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
