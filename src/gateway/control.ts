/**
 * The supervisor's side of the control channel.
 *
 * @module
 */
import type { Outcome } from "../lifecycle/row.ts";
import {
  type ClientMessage,
  type ControlName,
  decodeClient,
  decodeEnrol,
  decodeEnvironment,
  decodeHello,
  decodeKeys,
  decodePin,
  decodeQuit,
  decodeRest,
  decodeServe,
  decodeStaysDown,
  type EnrolLine,
  type EnrolMessage,
  type HelloAnswer,
  type PageAnswer,
  type PinMessage,
  proofOf,
  type QuitAnswer,
  type QuitMode,
  type RestOptions,
  type ServeAnswer,
  type ServeMessage,
  type ServerUse,
  type StateAnswer,
  type StaysDownMessage,
} from "../supervisor/control_wire.ts";
import type { Supervisor } from "../supervisor/supervisor.ts";
import { readBody } from "./body.ts";
import { isSameText } from "./guard.ts";
import { refusedUnread } from "./listener.ts";

export interface ControlOptions {
  secret: string;
  supervisor: Supervisor;
  self: Pick<StateAnswer, "pid" | "version" | "since">;
  /** Who speaks with which server. */
  use(): ServerUse[];
  /** Decides whether the process ends, and begins to end it. */
  quit(mode: QuitMode): QuitAnswer;
  /** Enrols servers that requests start, and stays for them. */
  serve(message: ServeMessage): Promise<ServeAnswer>;
  /** Starts a process of a stdio server that stays. */
  pin(message: PinMessage): Promise<Outcome>;
  /** Lets the processes of servers that requests started go. */
  rest(keys: readonly string[], options: RestOptions): Promise<void>;
  setEnvironment(key: string, environment: Record<string, string>): boolean;
  /** Refuses requests to servers until the next `up`, or answers them again; noted for the next supervisor, too. */
  noteStaysDown(message: StaysDownMessage): Promise<void>;
  /** A `connect` begins: it is known by the name, until `end`. */
  client(
    message: ClientMessage,
  ): Promise<{ name: string; notes: readonly string[]; end(): Promise<void> }>;
  /** A page of a browser is about to come. */
  expectPage(): Promise<PageAnswer>;
  /** Whether the process is about to end: nothing new is taken on then. */
  isEnding(): boolean;
  /** A request that must not lose its supervisor while it goes on. Returns the function that ends this. */
  hold(): () => void;
}

const BODY_LIMIT_BYTES = 8 * 1024 * 1024;

export async function answerControl(
  options: ControlOptions,
  name: string,
  request: Request,
): Promise<Response> {
  if (request.method !== "POST") return refusedUnread(405, `${request.method} is not for control`);
  if (name !== "hello" && !isSecret(options, request)) {
    return refusedUnread(401, "Control wants its own token");
  }
  const bytes = await readBody(request, BODY_LIMIT_BYTES);
  if (bytes === null) return refusedUnread(413, `The request is over ${BODY_LIMIT_BYTES} bytes`);
  const body = new TextDecoder().decode(bytes);
  if (options.isEnding() && name !== "hello") return refusedUnread(503, "The supervisor is about to end");
  const known = name as ControlName;
  switch (known) {
    case "hello": {
      const message = decodeHello(body);
      return message === null ? malformed() : hello(options, message.nonce);
    }
    case "enrol": {
      const message = decodeEnrol(body);
      return message === null ? malformed() : enrol(options, message);
    }
    case "environment": {
      const message = decodeEnvironment(body);
      if (message === null) return malformed();
      return Response.json({ known: options.setEnvironment(message.key, message.environment) });
    }
    case "release":
    case "stop": {
      const message = decodeKeys(body);
      if (message === null) return malformed();
      return await held(options, async () => ({
        known: await Promise.all(message.keys.map((key) => options.supervisor[known](key))),
      }));
    }
    case "state":
      return Response.json(stateOf(options));
    case "serve": {
      const message = decodeServe(body);
      return message === null ? malformed() : Response.json(await options.serve(message));
    }
    case "pin": {
      const message = decodePin(body);
      return message === null ? malformed() : await held(options, () => options.pin(message));
    }
    case "rest": {
      const message = decodeRest(body);
      if (message === null) return malformed();
      return await held(options, async () => {
        await options.rest(message.keys, message);
        return {};
      });
    }
    case "stays_down": {
      const message = decodeStaysDown(body);
      if (message === null) return malformed();
      await options.noteStaysDown(message);
      return Response.json({});
    }
    case "client": {
      const message = decodeClient(body);
      return message === null ? malformed() : await client(options, message);
    }
    case "page":
      return Response.json(await options.expectPage());
    case "quit": {
      const message = decodeQuit(body);
      return message === null ? malformed() : Response.json(options.quit(message.mode));
    }
  }
  return refusedUnread(404, `Control knows no ${JSON.stringify(name)}`);
}

function isSecret({ secret }: ControlOptions, { headers }: Request): boolean {
  const [, given = ""] = /^Bearer (\S+)$/.exec(headers.get("authorization") ?? "") ?? [];
  return isSameText(given, secret);
}

function malformed(): Response {
  return refusedUnread(400, "The request is not what control understands");
}

/** Answers what takes a while, with the supervisor held meanwhile. */
async function held({ hold }: ControlOptions, work: () => Promise<unknown>): Promise<Response> {
  const release = hold();
  try {
    return Response.json(await work());
  } finally {
    release();
  }
}

/** Tells a `connect` its name, and stays open for as long as it lives: the end of the connection is the end of it. */
async function client(options: ControlOptions, message: ClientMessage): Promise<Response> {
  const release = options.hold();
  const { name, notes, end } = await options.client(message).catch((error) => {
    release();
    throw error;
  });
  const gone = () => {
    release();
    end().catch(() => {});
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(JSON.stringify({ type: "client", name, notes }) + "\n"));
    },
    cancel: gone,
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
}

function hello({ secret, self: { pid, version } }: ControlOptions, nonce: string): Response {
  const answer: HelloAnswer = { proof: proofOf(secret, nonce), pid, version };
  return Response.json(answer);
}

function stateOf({ supervisor, self, use }: ControlOptions): StateAnswer {
  const servers = supervisor.servers().map(({ key, name, by }) => ({ key, name, by }));
  return { ...self, servers, use: use() };
}

/** Answers line by line: accepted, progress, the outcome, and what happens after it where that is asked for. */
function enrol({ supervisor, hold }: ControlOptions, message: EnrolMessage): Response {
  const release = hold();
  const enrolment = supervisor.enrol(message);
  const encoder = new TextEncoder();
  let unfollow = () => {};
  let isOpen = true;
  const close = () => {
    isOpen = false;
    unfollow();
    release();
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (line: EnrolLine | { type: "accepted"; kept: boolean }) => {
        if (!isOpen) return;
        // A reader that does not read is let go, not waited for.
        if ((controller.desiredSize ?? 0) < -MAX_WAITING_LINES) {
          close();
          controller.error(new Error("the reader is too slow"));
          return;
        }
        controller.enqueue(encoder.encode(JSON.stringify(line) + "\n"));
      };
      const end = () => {
        if (!isOpen) return;
        close();
        controller.close();
      };
      send({ type: "accepted", kept: enrolment.kept });
      unfollow = enrolment.follow((news) => {
        if (news.type === "progress") send(news);
        else if (message.follow) send({ type: "news", news });
      });
      enrolment.outcome.then((outcome) => {
        send({ type: "outcome", outcome, kept: enrolment.kept });
        if (!message.follow) end();
      }, () => end());
      enrolment.end.then((over) => {
        const outcome: Outcome | null = over.kind === "failed" ? over.outcome : null;
        // The outcome of a start that was given up is said first.
        enrolment.outcome.finally(() => {
          if (message.follow) send({ type: "end", outcome });
          end();
        }).catch(() => {});
      });
    },
    cancel: close,
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
}

const MAX_WAITING_LINES = 10_000;
