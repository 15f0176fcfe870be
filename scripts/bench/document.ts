/**
 * Reads what a script of the benchmark prints under `--json`.
 *
 * @module
 */
import { z } from "zod";
import { type Taken, UNITS } from "./figures.ts";

const values = z.array(z.number());
const figure = z.strictObject({
  what: z.string(),
  unit: z.enum(UNITS),
  goal: z.strictObject({ side: z.enum(["at most", "at least"]), value: z.number() }).nullable(),
  values: values.min(1),
  peers: z.array(z.strictObject({ name: z.string(), values })).optional(),
});
const missing = z.strictObject({ what: z.string(), why: z.string() });
const document = z.array(z.union([figure, missing])).min(1);

/** @throws Error where the text is no document of figures, or holds none */
export function readDocument(text: string): Taken[] {
  let told: unknown;
  try {
    told = JSON.parse(text);
  } catch (cause) {
    throw new Error("no figures, and no JSON", { cause });
  }
  const { success, data, error } = document.safeParse(told);
  if (success) return data;
  throw new Error(`no figures: ${z.prettifyError(error)}`);
}
