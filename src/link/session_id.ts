import type { Random } from "../host/host.ts";

/** The last component of a project's path as `[a-z0-9]` and single dashes; `project` where nothing is left. */
export function projectSlug(projectPath: string): string {
  const last = projectPath.split(/[/\\]/).findLast((part) => part !== "") ?? "";
  const slug = last.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return slug === "" ? "project" : slug;
}

/** A new session id: `<slug>@<4 hex>`, its suffix random for every call. */
export function newSessionId(projectPath: string, random: Pick<Random, "hex">): string {
  return `${projectSlug(projectPath)}@${random.hex(2)}`;
}
