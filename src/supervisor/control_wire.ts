/**
 * What verbs and the supervisor say to each other over its control channel: requests as JSON, answers as JSON or as
 * NDJSON where they come bit by bit.
 *
 * @module
 */
import {
  decodeJsonOrNull,
  type Decoder,
  flag,
  integer,
  list,
  nullable,
  object,
  oneOf,
  optional,
  table,
  text,
} from "../base/decode.ts";
import { hmacSha256Hex } from "../base/hash.ts";
import type { Outcome } from "../lifecycle/row.ts";
import { type SupervisedServer, supervisedServer, supervisedServers } from "./enrolment.ts";
import type { EnrolRequest, ServerNews } from "./supervisor.ts";

/** Of this way of speaking, as supervisor.json says it. */
export const CONTROL_REVISION = 1;

/** Where the channel is, below the listener's address. */
export const CONTROL_PATH = "/control/";

export type ControlName =
  | "hello"
  | "enrol"
  | "environment"
  | "release"
  | "stop"
  | "state"
  | "serve"
  | "quit"
  | "pin"
  | "rest"
  | "stays_down"
  | "client"
  | "page";

/** Asked before any secret is sent: only who has read control.token can prove it. */
export interface HelloRequest {
  nonce: string;
}

export interface HelloAnswer {
  proof: string;
  pid: number;
  version: string;
}

export interface EnrolMessage extends EnrolRequest {
  /** Goes on with what happens until the server is let go. */
  follow: boolean;
}

/** One line of the answer to `enrol`. */
export type EnrolLine =
  | { type: "progress"; text: string }
  | { type: "outcome"; outcome: Outcome; kept: boolean }
  | { type: "news"; news: ServerNews }
  | { type: "end"; outcome: Outcome | null };

export interface EnvironmentMessage {
  key: string;
  environment: Record<string, string>;
}

export interface KeysMessage {
  keys: string[];
}

/** `idle`: only where nothing is left. `replace`: for a newer foster, with the environments handed on. */
export type QuitMode = "idle" | "stop" | "replace";

export interface QuitAnswer {
  ends: boolean;
  environments: Record<string, Record<string, string>>;
}

/** Servers that are there for requests, and a supervisor that stays for them. */
export interface ServeMessage {
  servers: SupervisedServer[];
  /** Of who enrols them: for processes that no session brings its own for. Null leaves what is known. */
  environment: Record<string, string> | null;
}

/** A stdio server that is to have a process that stays. */
export interface PinMessage {
  server: SupervisedServer;
  environment: Record<string, string> | null;
  timeoutMs: number | null;
  /** False for a probe: a process that was not there before is ended again. */
  stays: boolean;
}

/** How its start went, and the tools that it listed. */
export type PinAnswer = Outcome & { tools: string[] };

export interface RestOptions {
  /** Requests are refused until the next `up`. */
  stays: boolean;
  /** Other processes are started at once. */
  restarts?: boolean;
}

export interface RestMessage extends RestOptions {
  keys: string[];
}

/** Requests to these servers are refused until the next `up`, or answered again. */
export interface StaysDownMessage {
  keys: string[];
  staysDown: boolean;
}

/** A `connect`: it holds the supervisor, and its sessions end with it. */
export interface ClientMessage {
  servers: SupervisedServer[];
  environment: Record<string, string>;
  /** How long its requests wait for a server that is not there. */
  timeoutMs: number;
  /** False for `--no-translate`. */
  mayTranslate: boolean;
}

export interface ServeAnswer {
  endpoint: string;
}

/** How the gateway's page is reached, and what it shows to be let in. */
export interface PageAnswer {
  endpoint: string;
  token: string;
  /** Taken for the token once, within minutes: a browser's command line can be read by others. */
  code: string;
}

export interface StateAnswer {
  pid: number;
  version: string;
  since: string;
  servers: { key: string; name: string; by: string }[];
  /** Of the servers behind the gateway. Absent from a foster before 0.2. */
  use?: ServerUse[];
}

/** Who speaks with a server, in which revision of MCP, and what goes on there. */
export interface ServerUse {
  key: string;
  /** Revisions that it was found to speak; empty before it was asked. */
  speaks: string[];
  clients: {
    /** What the client calls itself; null where its revision knows no client. */
    name: string | null;
    revision: string;
    /** Whether foster translates between it and the server. */
    translated: boolean;
    /** Sessions at the server that these clients have. */
    sessions: number;
  }[];
  open_requests: number;
  waiting_requests: number;
  open_tasks: number;
}

export function proofOf(secret: string, nonce: string): string {
  return hmacSha256Hex(secret, `foster control ${nonce}`);
}

/** The request as JSON text. Null where it is none, as of all that follow. */
export const decodeEnrol = (source: string) => decodeJsonOrNull(source, enrolMessage);
export const decodePin = (source: string) => decodeJsonOrNull(source, pinMessage);
export const decodeRest = (source: string) => decodeJsonOrNull(source, restMessage);
export const decodeStaysDown = (source: string) => decodeJsonOrNull(source, staysDownMessage);
export const decodeClient = (source: string) => decodeJsonOrNull(source, clientMessage);
export const decodeServe = (source: string) => decodeJsonOrNull(source, serveMessage);
export const decodeEnvironment = (source: string) => decodeJsonOrNull(source, environmentMessage);
export const decodeKeys = (source: string) => decodeJsonOrNull(source, keysMessage);
export const decodeQuit = (source: string) => decodeJsonOrNull(source, quitMessage);
export const decodeHello = (source: string) => decodeJsonOrNull(source, helloRequest);

const environment = table(text());
const helloRequest: Decoder<HelloRequest> = object({ nonce: text(/^[0-9a-f]{32,128}$/) });
const enrolMessage: Decoder<EnrolMessage> = object({
  server: supervisedServer,
  adoptOnly: flag,
  resumes: optional(flag, false),
  environment: nullable(environment),
  follow: flag,
});
const serveMessage: Decoder<ServeMessage> = object({
  servers: supervisedServers,
  environment: nullable(environment),
});
const pinMessage: Decoder<PinMessage> = object({
  server: supervisedServer,
  environment: nullable(environment),
  timeoutMs: nullable(integer(0)),
  stays: flag,
});
const restMessage: Decoder<RestMessage> = object({
  keys: list(text()),
  stays: flag,
  restarts: optional(flag, false),
});
const staysDownMessage: Decoder<StaysDownMessage> = object({ keys: list(text()), staysDown: flag });
const clientMessage: Decoder<ClientMessage> = object({
  servers: supervisedServers,
  environment,
  timeoutMs: integer(0),
  mayTranslate: optional(flag, true),
});
const environmentMessage: Decoder<EnvironmentMessage> = object({ key: text(), environment });
const keysMessage: Decoder<KeysMessage> = object({ keys: list(text()) });
const quitMessage: Decoder<{ mode: QuitMode }> = object({ mode: oneOf("idle", "stop", "replace") });
