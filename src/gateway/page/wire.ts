/**
 * What the page is sent of the servers.
 *
 * @module
 */
import { printable } from "../../base/printable.ts";
import type { ServerRow } from "../../lifecycle/row.ts";
import type { RequestCounts } from "../counts.ts";

/** One server as the page shows it. */
export interface PageServer {
  key: string;
  name: string;
  state: string;
  transport: string | null;
  endpoint: string | null;
  pid: number | null;
  adoption: string | null;
  server: ServerRow["server"];
  message: string;
  /** A request starts it. */
  on_demand: boolean;
  supervised: boolean;
  /** Since when its process runs, ISO 8601; null where none does. */
  since: string | null;
  next_attempt: string | null;
  restarts: number;
  /** Processes of a stdio server. */
  copies: number;
  sessions: number;
  open: number;
  waiting: number;
  requests: RequestCounts["outcomes"];
}

/**
 * One server at one moment: requests that ended since the last one, how many of them failed, their mean time in ms, resident
 * bytes, open sessions.
 */
export type Measure = readonly [
  requests: number,
  failed: number,
  latencyMs: number | null,
  residentBytes: number | null,
  sessions: number,
];

export interface PageSample {
  /** Ms since the epoch. */
  at: number;
  measures: Record<string, Measure>;
}

export interface PageEvent {
  key: string;
  at: string;
  event: string;
  pid: number | null;
  message: string;
}

export interface PageSupervisor {
  pid: number;
  version: string;
  since: string;
  endpoint: string;
  resident_bytes: number | null;
  /** Sessions with several servers as one. */
  sessions: number;
}

/** What all open pages are sent at once. */
export interface PageUpdate {
  supervisor: PageSupervisor;
  servers: PageServer[];
  /** Null so soon after the last one that it would say nothing. */
  sample: PageSample | null;
  /** Those that were not there before. */
  events: PageEvent[];
}

const MESSAGE_LIMIT = 2000;

/** Servers write it: nothing in it is unseen, or turns the text around it. */
export function shownText(text: string): string {
  return printable(text).slice(0, MESSAGE_LIMIT);
}
