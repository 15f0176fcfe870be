/** A client and a server that a test plays, on both sides of a conversation. */
import type { Fields } from "../../src/mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../../src/relay/client_side.ts";
import type { Conversation } from "../../src/gateway/conversation.ts";

export const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
export const decode = (line: Uint8Array): Fields => JSON.parse(new TextDecoder().decode(line));

/** What the client gets. */
export class PlayedClient implements ClientSide {
  readonly got: { message: Fields; to: Destination }[] = [];
  /** As they came. */
  readonly lines: string[] = [];
  readonly cancelledExchanges: number[] = [];

  write(line: Uint8Array, to: Destination): Backpressure {
    this.lines.push(new TextDecoder().decode(line));
    this.got.push({ message: decode(line), to });
  }

  cancelled(exchange: number): void {
    this.cancelledExchanges.push(exchange);
  }

  /** Answers and errors by exchange. */
  answer(exchange: number): Fields | undefined {
    return this.got.find(({ to }) => to.kind === "answer" && to.exchange === exchange)?.message;
  }
}

export type Behaviour = (
  message: Fields,
  answer: (result: Fields) => void,
  fail: (code: number, message: string, data?: unknown) => void,
) => void;

/** Answers each request as its behaviour says, and notes all that it hears. */
export class PlayedServer {
  readonly heard: Fields[] = [];
  /** As they came. */
  readonly lines: string[] = [];
  readonly cancelled: number[] = [];
  /** How long it was given to answer what is open. */
  readonly finished: number[] = [];
  opened = 0;
  closed = 0;
  client: ClientSide | null = null;
  behave: Behaviour;

  constructor(behave: Behaviour) {
    this.behave = behave;
  }

  readonly open = (client: ClientSide): Conversation => {
    this.opened++;
    this.client = client;
    return {
      receive: (exchange, line) => {
        const message = decode(line);
        this.heard.push(message);
        this.lines.push(new TextDecoder().decode(line));
        if (message.id === undefined || message.method === undefined) return Promise.resolve();
        const send = (rest: Fields) =>
          void client.write(encode({ jsonrpc: "2.0", id: message.id, ...rest }), {
            kind: "answer",
            exchange,
            isLast: true,
          });
        this.behave(
          message,
          (result) => send({ result }),
          (code, text, data) => send({ error: { code, message: text, data } }),
        );
        return Promise.resolve();
      },
      cancel: (exchange) => void this.cancelled.push(exchange),
      finish: (limitMs) => {
        this.finished.push(limitMs);
        return Promise.resolve();
      },
      close: () => {
        this.closed++;
        return Promise.resolve();
      },
    };
  };

  methods(): unknown[] {
    return this.heard.map(({ method }) => method);
  }
}

export async function say(conversation: Conversation, exchange: number, message: Fields): Promise<void> {
  const whole = { jsonrpc: "2.0", ...message };
  await conversation.receive(exchange, encode(whole), [whole]);
  await settled();
}

/** Lets everything go on that waits for nothing but promises. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}
