import { dirname } from "node:path";

/** The folder and those above it, nearest first. */
export function upward(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...upward(parent)];
}
