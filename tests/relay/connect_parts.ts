/**
 * Parcels as a client sends them, and a server's life that only takes them.
 *
 * @module
 */
import { readClientLine } from "../../src/relay/message.ts";
import { type Parcel, parcelOf } from "../../src/relay/parcel.ts";
import type { Upstream } from "../../src/relay/upstream/upstream.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One life of a server, of which only what it is sent matters. */
export class Life implements Upstream {
  readonly sharesStream = true;
  readonly received: string[] = [];
  send({ line }: Parcel): void {
    this.received.push(decoder.decode(line));
  }
  abandon(): boolean {
    return false;
  }
  isAlive(): Promise<boolean> {
    return Promise.resolve(true);
  }
  retire(): void {}
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What a client says in one line. */
export function parcel(said: object): Parcel {
  const line = encoder.encode(JSON.stringify(said));
  const read = readClientLine(line);
  if (read.kind === "invalid") throw new Error(read.why);
  return parcelOf(line, read.message);
}
