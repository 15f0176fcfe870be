import type { System } from "../host.ts";
import type { ReaderTools, SystemReader } from "./reader.ts";

/** The reader of this system; the other two are never loaded. */
export async function createReader(system: System, tools: ReaderTools): Promise<SystemReader> {
  switch (system) {
    case "linux":
      return (await import("./linux/reader.ts")).createLinuxReader(tools);
    case "darwin":
      return (await import("./darwin/reader.ts")).createDarwinReader(tools);
    case "windows":
      return (await import("./windows/reader.ts")).createWindowsReader(tools);
  }
}
