/**
 * The verbs' side of the control channel: finds the supervisor of a state folder, proves who it is, and asks it.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Host, HostError } from "../host/host.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { wholeText } from "../registry/once_made.ts";
import { statePaths } from "../registry/paths.ts";
import { readSupervisorFile, type SupervisorFile } from "../registry/supervisor_files.ts";
import type { SupervisedServer } from "./enrolment.ts";
import {
  type ClientMessage,
  CONTROL_PATH,
  type ControlName,
  type EnrolLine,
  type EnrolMessage,
  type HelloAnswer,
  type PageAnswer,
  type PinAnswer,
  type PinMessage,
  proofOf,
  type QuitAnswer,
  type QuitMode,
  type RestOptions,
  type ServeAnswer,
  type StateAnswer,
  type StaysDownMessage,
} from "./control_wire.ts";

type ClientHost = Pick<Host, "files" | "processes" | "net" | "clock" | "random">;

/** A verb that gets no answer within so long works without the supervisor. */
const ANSWER_MS = 2000;
const SERVER_MS = 200;
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

export type FoundSupervisor =
  | { kind: "live"; record: SupervisorFile; control: ControlClient }
  /** Its process is there, but gives no answer. */
  | { kind: "silent"; record: SupervisorFile; why: string }
  | { kind: "none" };

/** The channel broke, or the supervisor is about to end: whoever asked may look for the next one. */
export class ControlError extends HostError {
  constructor(message: string, options?: ErrorOptions) {
    super("busy", message, options);
  }
}

export async function findSupervisor(host: ClientHost, stateFolder: string): Promise<FoundSupervisor> {
  const file = await readSupervisorFile(host, stateFolder);
  if (file.kind !== "file" || isOver(await verdictNow(host, file.value))) return { kind: "none" };
  const record = file.value;
  const secret = await wholeText(host, statePaths(stateFolder).controlToken);
  if (secret === null) return { kind: "silent", record, why: "control.token can't be read" };
  const control = new ControlClient(host, { record, secret });
  const why = await control.challenge();
  if (why === null) return { kind: "live", record, control };
  // It may have ended in this very moment.
  return isOver(await verdictNow(host, record)) ? { kind: "none" } : { kind: "silent", record, why };
}

export class ControlClient {
  readonly #host: ClientHost;
  readonly #address: string;
  readonly #secret: string;

  constructor(host: ClientHost, { record, secret }: { record: SupervisorFile; secret: string }) {
    this.#host = host;
    this.#address = record.endpoint.replace(/\/$/, "");
    this.#secret = secret;
  }

  /** Null where the listener proved that it knows the secret, which it is not sent; else why not. */
  async challenge(): Promise<string | null> {
    const nonce = this.#host.random.hex(32);
    try {
      const response = await this.#post("hello", { nonce }, { timeoutMs: ANSWER_MS, withSecret: false });
      const answer: unknown = await response.json();
      const proof = isObject(answer) ? (answer as Partial<HelloAnswer>).proof : undefined;
      return proof === proofOf(this.#secret, nonce) ? null : "another program answers at its address";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /**
   * Puts a server under supervision. Calls back with the lines as they come; ends with the stream, or when the callback
   * returns false. @throws ControlError, the signal's reason
   */
  async enrol(
    message: EnrolMessage,
    { signal, timeoutMs, onLine }: {
      signal: AbortSignal;
      timeoutMs: number | null;
      onLine(line: EnrolLine | { type: "accepted"; kept: boolean }): boolean;
    },
  ): Promise<void> {
    const { body } = await this.#post("enrol", message, { timeoutMs, signal });
    if (body === null) throw new ControlError("the supervisor answered nothing");
    try {
      for await (const line of jsonLines(body)) {
        if (!onLine(line as EnrolLine)) return;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw new ControlError(`the supervisor's answer broke off: ${String(error)}`, { cause: error });
    }
  }

  async setEnvironment(key: string, environment: Record<string, string>): Promise<void> {
    await this.#ask("environment", { key, environment });
  }

  /** Lets go of servers and leaves them as they are. */
  async release(keys: readonly string[]): Promise<void> {
    await this.#ask("release", { keys });
  }

  /** Ends servers with their supervision. */
  async stop(keys: readonly string[], timeoutMs: number): Promise<void> {
    await this.#ask("stop", { keys }, timeoutMs);
  }

  async state(): Promise<StateAnswer> {
    return await this.#ask("state", {}) as StateAnswer;
  }

  async serve(
    servers: readonly SupervisedServer[],
    environment: Record<string, string> | null = null,
  ): Promise<ServeAnswer> {
    // It reads the definition of each.
    const timeoutMs = ANSWER_MS + servers.length * SERVER_MS;
    return await this.#ask("serve", { servers, environment }, timeoutMs) as ServeAnswer;
  }

  /** Starts a process of a stdio server that stays. */
  async pin(message: PinMessage, waitMs: number): Promise<PinAnswer> {
    return await this.#ask("pin", message, waitMs) as PinAnswer;
  }

  /** Lets the processes of servers that requests started go. */
  async rest(
    keys: readonly string[],
    { stays, restarts = false, timeoutMs }: RestOptions & { timeoutMs: number },
  ): Promise<void> {
    await this.#ask("rest", { keys, stays, restarts }, timeoutMs);
  }

  async noteStaysDown(message: StaysDownMessage): Promise<void> {
    await this.#ask("stays_down", message);
  }

  /** Begins a `connect`. Its sessions end when the returned body ends. @throws ControlError */
  async client(
    message: ClientMessage,
    signal: AbortSignal,
  ): Promise<{ name: string; notes: readonly string[]; over: Promise<void> }> {
    const { body } = await this.#post("client", message, { timeoutMs: null, signal });
    if (body === null) throw new ControlError("the supervisor answered nothing");
    const lines = jsonLines(body);
    const first = await lines.next();
    const name = isObject(first.value) ? first.value.name : undefined;
    if (typeof name !== "string") throw new ControlError("the supervisor gave the client no name");
    const said = isObject(first.value) ? first.value.notes : undefined;
    const notes = Array.isArray(said) ? said.filter((note) => typeof note === "string") : [];
    const over = lines.next().then(() => {}, () => {});
    return { name, notes, over };
  }

  /** The supervisor stays for a while, until a page comes. */
  async page(): Promise<PageAnswer> {
    return await this.#ask("page", {}) as PageAnswer;
  }

  async quit(mode: QuitMode): Promise<QuitAnswer> {
    return await this.#ask("quit", { mode }) as QuitAnswer;
  }

  async #ask(name: ControlName, message: object, timeoutMs = ANSWER_MS): Promise<unknown> {
    const response = await this.#post(name, message, { timeoutMs });
    try {
      return await response.json();
    } catch (cause) {
      throw new ControlError(`the supervisor's answer broke off: ${String(cause)}`, { cause });
    }
  }

  async #post(
    name: ControlName,
    message: object,
    { timeoutMs, signal, withSecret = true }: {
      timeoutMs: number | null;
      signal?: AbortSignal;
      withSecret?: boolean;
    },
  ): Promise<Response> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (withSecret) headers.authorization = `Bearer ${this.#secret}`;
    const deadline = timeoutMs === null ? signal : this.#host.clock.deadline(timeoutMs, signal);
    let response: Response;
    try {
      response = await this.#host.net.fetch(this.#address + CONTROL_PATH + name, {
        method: "POST",
        headers,
        body: JSON.stringify(message),
        redirect: "manual",
        ...(deadline === undefined ? {} : { signal: deadline }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new ControlError(`the supervisor does not answer: ${String(cause)}`, { cause });
    }
    if (response.ok) return response;
    const text = await response.text().catch(() => "");
    throw new ControlError(`the supervisor answers ${response.status}: ${text.trim().slice(0, 200)}`);
  }
}

/** Each line of the stream as the JSON that it is. */
async function* jsonLines(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > ANSWER_LIMIT_BYTES) throw new Error("a line without an end");
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield JSON.parse(line);
  }
}
