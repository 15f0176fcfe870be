/**
 * One action for several servers: each has its own outcome, and none keeps the others from being tried.
 *
 * @module
 */
import { type Outcome, plainOutcome } from "../lifecycle/row.ts";
import { EXIT } from "./exit_codes.ts";
import { describeFailure } from "./problems.ts";
import type { Context } from "./verb.ts";

/** At a time: enough that servers that are slow to end do not hold each other up. */
const AT_A_TIME = 64;

export interface ServerAction {
  /** As it was given on the command line. */
  name: string;
  /** Once it is known: what fails then is said of that server's folder. */
  key?: string;
  run(): Promise<Outcome>;
}

/**
 * The outcomes in the order given.
 * @throws what an only action threw, and at the end what was a bug in foster
 */
export async function runForEach(context: Context, actions: readonly ServerAction[]): Promise<Outcome[]> {
  const [only] = actions;
  if (only !== undefined && actions.length === 1) return [await only.run()];
  const outcomes: Outcome[] = new Array(actions.length);
  let bug: unknown = null;
  let next = 0;
  const work = async () => {
    for (let index = next++; index < actions.length; index = next++) {
      const action = actions[index];
      if (action === undefined) return;
      try {
        outcomes[index] = await action.run();
      } catch (error) {
        const failure = failureOf(context, { action, error });
        if (failure === null) bug ??= error;
        else outcomes[index] = failure;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, actions.length) }, work));
  if (bug !== null) throw bug;
  return outcomes;
}

/** Null for a bug in foster. */
function failureOf(
  { signal, state }: Context,
  { action: { name, key = name }, error }: { action: ServerAction; error: unknown },
): Outcome | null {
  const folder = state.server(key);
  if (signal.aborted) {
    return plainOutcome({ name }, folder, { kind: "interrupted", message: `"${name}": interrupted` });
  }
  const { message, hint, exitCode } = describeFailure(error, false);
  switch (exitCode) {
    case EXIT.bug:
      return null;
    case EXIT.usage:
      return plainOutcome({ name }, folder, { kind: "usage", message, hint });
    default:
      return plainOutcome({ name }, folder, { kind: "failed", message: `"${name}": ${message}`, hint });
  }
}
