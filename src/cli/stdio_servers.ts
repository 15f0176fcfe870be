/**
 * Servers that speak stdio have no life of their own: each client has one, through connect.
 *
 * @module
 */
import type { ServerDefinition } from "../definitions/definition.ts";
import { UsageError } from "./args.ts";
import type { Output } from "./output.ts";
import type { Target } from "./targets.ts";

type Spoken = Pick<ServerDefinition, "name" | "transport">;

/** For verbs that would start or replace it. @throws UsageError */
export function refuseStdio({ name, transport }: Spoken): void {
  if (transport !== "stdio") return;
  throw new UsageError(`"${name}" speaks stdio: it lives as long as its client`, `foster connect "${name}"`);
}

/** Whether a server that nobody named is left out for it, which is then said. */
export function isPassedOver(output: Pick<Output, "talk">, { name, transport }: Spoken): boolean {
  if (transport !== "stdio") return false;
  output.talk(`"${name}" speaks stdio: a client starts it through foster connect "${name}"`);
  return true;
}

/** Those that have an endpoint, or a record: one that speaks stdio now had an endpoint when that was written. */
export function listening(output: Pick<Output, "talk">, targets: readonly Target[]): Target[] {
  return targets.filter(({ definition, record }) =>
    record !== null || definition === null || !isPassedOver(output, definition)
  );
}
