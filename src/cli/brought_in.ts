/**
 * What a user says by naming servers of a project's `.mcp.json`: that foster may start them for clients, too.
 *
 * @module
 */
import { HostError } from "../host/host.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { isBroughtIn, trustedName } from "../definitions/trust.ts";
import { noteBroughtIn, readEnrolled } from "../registry/supervisor_files.ts";
import { UsageError } from "./args.ts";
import { findDefinitionInScope } from "./targets.ts";
import type { Context } from "./verb.ts";

/**
 * Keeps path and hash of a `.mcp.json` of whose servers the user asked for some by `up`, `run`, `serve` or `attach`; no
 * names mean all of them.
 */
export async function bringIn(context: Context, names: readonly string[]): Promise<void> {
  const { file: path, sha256, isMcpJson, inFile } = await context.definitions();
  if (!isMcpJson || path === null || sha256 === null) return;
  if (names.length > 0 && !inFile.some(({ name }) => names.includes(name))) return;
  try {
    await noteBroughtIn(context.host, context.state.path, { path, sha256 });
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    context.output.talk(`clients will not be given the servers of ${path} yet: ${error.message}`);
  }
}

/** As `findDefinitionInScope`, for who was not asked by the user at this moment. @throws UsageError, DefinitionError */
export async function findTrustedDefinition(context: Context, name: string): Promise<ServerDefinition> {
  const definitions = await context.definitions();
  if (isBroughtIn(definitions, [])) return await findDefinitionInScope(context, name);
  const enrolled = await readEnrolled(context.host, context.state.path);
  const broughtIn = enrolled.kind === "file" ? enrolled.value.files : [];
  const trusted = trustedName(definitions, name, broughtIn);
  switch (trusted.kind) {
    case "defined":
      return trusted.definition;
    case "not_brought_in":
      throw new UsageError(trusted.message, trusted.hint);
    case "undefined":
      return await findDefinitionInScope(context, name);
  }
}
