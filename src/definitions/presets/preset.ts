import type { WrittenServer } from "../schema.ts";

/** A definition that is always there, written as a user would write it. */
export interface Preset {
  name: string;
  /** One line for lists. */
  summary: string;
  written: WrittenServer;
}
