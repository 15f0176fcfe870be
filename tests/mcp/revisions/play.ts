/** Plays messages through a translator and collects what comes out. */
import type { Fields, Message, RequestId, Step } from "../../../src/mcp/revisions/messages.ts";

export interface Translator {
  fromClient(message: Message, exchange: number): Step;
  fromServer(message: Message, via?: RequestId | null): Step;
}

/** `c` from the client in an exchange, `s` from the server, on the stream of `via` where it is given. */
export type Event =
  | { c: Fields; x?: number }
  | { s: Fields; via?: RequestId };

/** What came out, without `jsonrpc`: `[to the server, to the client with its exchange]`. */
export interface Output {
  server: Fields[];
  client: [Fields, number | null][];
}

export function play(translator: Translator, events: readonly Event[]): Output[] {
  return events.map((event) =>
    output(
      "c" in event
        ? translator.fromClient({ jsonrpc: "2.0", ...event.c } as Message, event.x ?? 1)
        : translator.fromServer({ jsonrpc: "2.0", ...event.s } as Message, event.via ?? null),
    )
  );
}

export function output({ toServer, toClient }: Step): Output {
  return {
    server: toServer.map((message) => bare(message)),
    client: toClient.map(({ message, exchange }) => [bare(message), exchange]),
  };
}

function bare(message: Message): Fields {
  const { jsonrpc: _, ...rest } = message as unknown as Fields;
  return rest;
}
