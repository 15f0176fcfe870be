/**
 * The servers that `foster connect` is to reach.
 *
 * @module
 */
import type { ConnectTarget } from "../connect/connect.ts";
import { refuseClient } from "../connect/refusal.ts";
import { TOKEN_VARIABLE } from "../definitions/launch/environment.ts";
import { fileHash } from "../gateway/file_hash.ts";
import { enrolledServer } from "../supervisor/enrol.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { type Args, UsageError } from "./args.ts";
import { describeFailure } from "./problems.ts";
import { bringIn, findTrustedDefinition } from "./brought_in.ts";
import type { Context } from "./verb.ts";
import { worldOf } from "./worlds.ts";

/** Longer than any machine runs. */
const NEVER_MS = Number.MAX_SAFE_INTEGER;
const DEFAULT_IDLE_MS = 30_000;

/** Which servers, and where they are below the gateway's address. */
interface Meant {
  name: string;
  definitions: ServerDefinition[];
  path: string;
}

/** The servers that the command line names. @throws UsageError, DefinitionError, which the client hears first */
export async function connectTarget(context: Context, args: Args): Promise<ConnectTarget> {
  const { name, definitions, path } = await meant(context, args);
  const options = { startedBy: "connect", idleMs: idleOf(args), timeoutMs: null } as const;
  const servers = await Promise.all(
    definitions.map((definition) => enrolledServer(worldOf(context), definition, options)),
  );
  return { name, servers, path };
}

async function meant(context: Context, args: Args): Promise<Meant> {
  try {
    const { isNamed } = await context.definitions();
    if (isNamed) await bringIn(context, args.names);
    if (args.names.length === 0 && args.flag("no-translate")) {
      throw new UsageError(
        "--no-translate wants a NAME: several servers become one by translation",
        "foster connect NAME --no-translate",
      );
    }
    if (args.names.length === 0) return await meantAll(context);
    const definition = await findTrustedDefinition(context, args.oneName());
    await refuseOwnServer(context, definition);
    return { name: definition.name, definitions: [definition], path: `/mcp/${definition.key}` };
  } catch (error) {
    const { message, hint } = describeFailure(error, false);
    await refuseClient(context.host, { message, hint }, context.signal);
    throw error;
  }
}

/** All servers of the definition file in scope, as one. @throws UsageError */
async function meantAll(context: Context): Promise<Meant> {
  const { inFile } = await context.definitions();
  const [first] = inFile;
  const hash = first === undefined ? null : fileHash(first);
  if (first === undefined || hash === null) {
    throw new UsageError(
      "which server? There is no definition file here",
      "foster connect NAME, or foster connect --config FILE",
    );
  }
  const definitions = await Promise.all(inFile.map(({ name }) => findTrustedDefinition(context, name)));
  return { name: "foster", definitions, path: `/mcp/@${hash}` };
}

/** Refuses a definition whose command is `foster connect` of itself: each process would start the next. @throws UsageError */
async function refuseOwnServer({ host, state }: Context, { name, key }: ServerDefinition): Promise<void> {
  const instanceToken = host.env.get(TOKEN_VARIABLE);
  if (!instanceToken?.startsWith(`${await state.id()}:${key}:`)) return;
  throw new UsageError(
    `"${name}" is started by the command of "${name}" itself: it would go on like that without end`,
    `in its definition, "command" has to be the server, not foster connect`,
  );
}

/** @throws UsageError */
function idleOf(args: Args): number {
  const text = args.text("idle");
  if (text === "never") return NEVER_MS;
  return args.duration("idle") ?? DEFAULT_IDLE_MS;
}
