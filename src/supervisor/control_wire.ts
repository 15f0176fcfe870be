/**
 * What verbs and the supervisor say to each other over its control channel: requests as JSON, answers as JSON or as
 * NDJSON where they come bit by bit.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { isObject } from "../base/json.ts";
import type { Outcome } from "../lifecycle/row.ts";
import { decodeEnrolledServer, type EnrolledServer } from "../registry/supervisor_files.ts";
import type { EnrolRequest, ServerNews } from "./supervisor.ts";

/** Where the channel is, below the listener's address. */
export const CONTROL_PATH = "/control/";

export type ControlName = "hello" | "enrol" | "environment" | "release" | "stop" | "state" | "serve" | "quit";

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
  servers: EnrolledServer[];
}

export interface ServeAnswer {
  endpoint: string | null;
  port: number | null;
}

export interface StateAnswer {
  pid: number;
  version: string;
  since: string;
  servers: { key: string; name: string; by: string }[];
}

export function proofOf(secret: string, nonce: string): string {
  return createHmac("sha256", secret).update(`foster control ${nonce}`).digest("hex");
}

/** Null where it is none. */
export function decodeEnrolMessage(value: unknown): EnrolMessage | null {
  if (!isObject(value)) return null;
  const server = decodeEnrolledServer(value.server);
  const environment = value.environment === null ? null : decodeEnvironment(value.environment);
  if (server === null || environment === undefined) return null;
  return { server, environment, adoptOnly: value.adoptOnly === true, follow: value.follow === true };
}

/** Null where it is none. */
export function decodeServeMessage(value: unknown): ServeMessage | null {
  if (!isObject(value) || !Array.isArray(value.servers)) return null;
  const servers = value.servers.map(decodeEnrolledServer);
  return servers.every((server) => server !== null) ? { servers } : null;
}

/** Undefined where it is none. */
export function decodeEnvironment(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value);
  return entries.every((entry): entry is [string, string] => typeof entry[1] === "string")
    ? Object.fromEntries(entries)
    : undefined;
}

export function decodeKeys(value: unknown): string[] | null {
  if (!isObject(value) || !Array.isArray(value.keys)) return null;
  return value.keys.every((key) => typeof key === "string") ? value.keys : null;
}
