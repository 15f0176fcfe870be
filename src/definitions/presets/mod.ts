import { DEMO } from "./demo.ts";
import { EVERYTHING } from "./everything.ts";
import { GODOT_AI } from "./godot_ai.ts";
import type { Preset } from "./preset.ts";

export type { Preset } from "./preset.ts";

/** By name, in the order of lists. */
export const PRESETS: ReadonlyMap<string, Preset> = new Map(
  [DEMO, EVERYTHING, GODOT_AI].map((preset) => [preset.name, preset]),
);
