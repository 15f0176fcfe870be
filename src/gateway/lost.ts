/**
 * The answer to requests whose conversation with the server ended before the server answered.
 *
 * @module
 */
import type { Fields } from "../mcp/revisions/messages.ts";
import type { ClientSide } from "../relay/client_side.ts";
import { CONNECTION_CLOSED, errorLine } from "../relay/message.ts";

/** The ids of the requests among messages, as JSON text. */
export function requestIds(messages: readonly Fields[]): string[] {
  return messages.flatMap(({ id, method }) =>
    id === undefined || method === undefined ? [] : [JSON.stringify(id)]
  );
}

/** `how`: what became of the server, as the beginning of a sentence. */
export function lostLine(id: string, how = "The connection to the server was ended"): Uint8Array {
  const message = `${how} while the request was open: it may or may not have run`;
  return errorLine(id, { code: CONNECTION_CLOSED, message, data: { may_have_run: true } });
}

/** Answers all requests of an exchange. */
export async function lostAnswers(
  client: ClientSide,
  exchange: number,
  { ids, how }: { ids: readonly string[]; how?: string },
): Promise<void> {
  for (const [index, id] of ids.entries()) {
    await client.write(lostLine(id, how), { kind: "answer", exchange, isLast: index === ids.length - 1 });
  }
}
