import type { Channel } from "./channel.ts";
import type { LinkEvent } from "./events.ts";
import type { LogLevel } from "./log_ring.ts";
import { type Outgoing, planOutbound } from "./outbound.ts";
import type { VersionCheck, VersionVerdict } from "./version_check.ts";
import { type Command, decodeInbound, type Packet } from "./wire.ts";

/** Packets read in one tick at most. */
export const DRAIN_LIMIT = 32;

export interface ConversationOptions {
  /** Open. */
  channel: Channel;
  /** Armed. */
  check: VersionCheck;
  /** Another one for each connection. */
  number: number;
  /** Whether so many commands wait already that none may be read. */
  backlogFull(): boolean;
  onCommand(command: Command): void;
  /** The server said its version. */
  onAcknowledged(): void;
  onVerdict(verdict: VersionVerdict): void;
  tell(event: LinkEvent): void;
  log(level: LogLevel, message: string): void;
}

/** What is said over one open connection, and what is known of its server: all of it ends with the connection. */
export class Conversation {
  readonly channel: Channel;
  readonly #options: ConversationOptions;
  #serverVersion = "";
  #verified = false;
  #spilled = 0;
  #spilling = false;

  constructor(options: ConversationOptions) {
    this.channel = options.channel;
    this.#options = options;
  }

  /** As acknowledged; empty until then. */
  get serverVersion(): string {
    return this.#serverVersion;
  }

  /** Whether the version was found good. */
  get verified(): boolean {
    return this.#verified;
  }

  /** Packets that had to wait for a later tick, added up over the ticks. */
  get spilled(): number {
    return this.#spilled;
  }

  /** Reads what came in, and judges the server as soon as that can be done. */
  tick(nowMs: number): void {
    const { check, number, tell, onVerdict } = this.#options;
    this.#drain();
    if (this.channel.left) return;
    const verdict = check.tick({ connection: number, serverVersion: this.#serverVersion, nowMs });
    if (verdict === null) return;
    this.#verified = verdict.kind === "ready";
    tell({ type: "verdict", verdict });
    onVerdict(verdict);
  }

  /** Sends, or for an answer over the limit sends a short error in its place. False where nothing was sent. */
  send(message: Outgoing, readiness: string): boolean {
    const { tell, log } = this.#options;
    const plan = planOutbound(message, { bufferedBytes: this.channel.bufferedBytes, readiness });
    const requestId = message.requestId ?? "";
    switch (plan.kind) {
      case "send":
        return this.channel.send(message.text);
      case "refuse":
        return false;
      case "replace":
        tell({ type: "backpressure", requestId, action: "replaced", overflow: plan.overflow });
        return this.channel.send(plan.text);
      case "drop":
        log("error", `dropped an answer of ${plan.overflow.messageBytes} bytes: no room even for an error`);
        tell({ type: "backpressure", requestId, action: "dropped", overflow: plan.overflow });
        return false;
    }
  }

  #drain(): void {
    const { channel } = this;
    const { backlogFull, log } = this.#options;
    let drained = 0;
    while (drained < DRAIN_LIMIT && !backlogFull()) {
      const packet = channel.take();
      if (packet === undefined) break;
      drained += 1;
      this.#receive(packet);
      if (channel.left) return;
    }
    const spill = drained === DRAIN_LIMIT ? channel.waiting : 0;
    this.#spilled += spill;
    if (spill > 0 && !this.#spilling) log("warn", `${spill} packets wait for a later tick`);
    this.#spilling = spill > 0;
  }

  #receive(packet: Packet): void {
    const message = decodeInbound(packet);
    switch (message.kind) {
      case "ignored":
        return;
      case "unreadable":
        return this.#options.log("warn", `ignored ${message.why}`);
      case "command":
        return this.#options.onCommand(message.command);
      case "ack":
        return this.#acknowledged(message.serverVersion, message.note);
    }
  }

  #acknowledged(version: string, note: string | null): void {
    const { onAcknowledged, tell, log } = this.#options;
    if (note !== null) log("warn", `the server ${note}`);
    if (this.#serverVersion !== "") return log("warn", "ignored a second acknowledgement");
    this.#serverVersion = version;
    if (version !== "") onAcknowledged();
    tell({ type: "ack", serverVersion: version });
  }
}
