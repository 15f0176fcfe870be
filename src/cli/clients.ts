/**
 * What the names of clients on a command line stand for.
 *
 * @module
 */
import { closest } from "../base/suggest.ts";
import type { Client } from "../clients/client.ts";
import { CLIENT_IDS, clientOf } from "../clients/known/mod.ts";
import { UsageError } from "./args.ts";

/** @throws UsageError where foster knows no client of this name */
export function namedClient(id: string): Client {
  const client = clientOf(id);
  if (client !== null) return client;
  const near = closest(id, CLIENT_IDS);
  throw new UsageError(
    `"${id}" is no client that foster knows`,
    near === null ? `known: ${CLIENT_IDS.join(", ")}` : `did you mean ${near}?`,
  );
}
