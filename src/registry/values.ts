/**
 * Decoders of the values that stand in the state folder's files. A value of the right type may still be a lie: a pid of
 * 1, an empty instance token or a relative path would name something that is not the server's.
 *
 * @module
 */
import { type Decoder, integer, object, text } from "../base/decode.ts";

/** A process as it can be told from all others: the pid alone is given away again. */
export interface ProcessIdentity {
  pid: number;
  start_token: string;
}

const LAST_PID = 0xffff_ffff;

/** Of any process: foster itself is pid 1 in a container. */
export const anyPid = integer(1, LAST_PID);

/** Of a server's process or group: never init, nor a whole group's or everybody's number. */
export const pid = integer(2, LAST_PID);

/** A parent's pid or a group's number, 0 where the system has none. */
export const pidOrZero = integer(0, LAST_PID);

/** A start time that no process has: of a child that was gone before it could be looked at. */
export const NEVER_STARTED = "never";

export const startToken = text((value) =>
  value === NEVER_STARTED || /^(?:proc|ps|cim):\P{Cc}{1,256}$/u.test(value)
);

export const identity: Decoder<ProcessIdentity> = object({ pid: anyPid, start_token: startToken });

export const port = integer(1, 65_535);

/** ISO 8601 in UTC, as foster writes it. */
export const time = text((value) =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(value) && !Number.isNaN(Date.parse(value))
);

/** Absolute on either kind of system; a part that came from the environment keeps its `${env:…}`. */
export const absolutePath = text(/^(?:\/|[A-Za-z]:[\\/]|\\\\|\$\{)[^\0]*$/);

/** A name as definitions may have it. */
export const serverName = text(/^[A-Za-z0-9._ -]{1,64}$/);

/** What servers and clients say of themselves is kept up to this length. */
export const SAID_LIMIT = 256;

/** An address of a server of this machine, with the port that is asked for. */
export function loopbackEndpoint(port: number): (value: string) => boolean {
  return (value) => {
    if (!URL.canParse(value)) return false;
    const { protocol, hostname, port: said, username, password, pathname } = new URL(value);
    return protocol === "http:" && ["127.0.0.1", "[::1]", "localhost"].includes(hostname) &&
      (said === "" ? 80 : Number(said)) === port && username === "" && password === "" &&
      !pathname.startsWith("//");
  };
}
