/**
 * `launch.json`: what a later `up` or `down` must know of a start and what has no place in the record.
 *
 * @module
 */
import {
  type Decoder,
  goodItems,
  integer,
  lenient,
  list,
  nullable,
  object,
  optional,
  text,
} from "../base/decode.ts";
import { instanceToken } from "./record.ts";
import { port } from "./values.ts";

export interface LaunchOverrides {
  /** What `--port` and `--version` said: kept until `down`. */
  port: number | null;
  version: string | null;
  /** Hash of each part of the definition, to name the parts that changed. */
  parts: Readonly<Record<string, string>>;
  /** How it is known and ended, for a `down` that has no definition; null in what an older foster wrote. */
  stop: StopSettings | null;
  /** Instance tokens of starts that were given up while a process still carried them: it may begin to listen yet. */
  tokens: readonly string[];
  /** `${sessionId}` of the start, and the name part of the session file that was written for it; null for none. */
  session: { id: string; file: string | null } | null;
}

/** As the definition said at the start. */
export interface StopSettings {
  brand: readonly string[];
  brandFlags: readonly string[];
  graceMs: number;
}

export const NO_OVERRIDES: LaunchOverrides = {
  port: null,
  version: null,
  parts: {},
  stop: null,
  tokens: [],
  session: null,
};

const HEX = /^[0-9a-f]{1,64}$/;

const stop: Decoder<StopSettings> = object({
  brand: list(text()),
  brandFlags: list(text()),
  graceMs: integer(0),
});

/** A field that was spoiled by hand is as good as absent; the others still count. */
export const launchOverrides: Decoder<LaunchOverrides> = object({
  port: lenient(optional(nullable(port), null), null),
  version: lenient(optional(nullable(text()), null), null),
  parts: goodItems(text()).table,
  stop: lenient(optional(nullable(stop), null), null),
  tokens: goodItems(instanceToken).list,
  session: lenient(optional(nullable(object({ id: text(HEX), file: nullable(text(HEX)) })), null), null),
});
