import type { Args } from "./args.ts";

/** A port that needs no privilege. */
export const PORT = { min: 1024, max: 65535 };

/** The port that `--port` names; null without the option. @throws UsageError */
export function portOf(args: Args): number | "auto" | null {
  return args.text("port") === "auto" ? "auto" : args.number("port", PORT);
}
