/**
 * The structures that 64-bit Windows fills in, turned into facts. The offsets are the same on x64 and arm64.
 *
 * @module
 */
import type { CimProcess } from "./parse.ts";

/** 100 ns between 1601, where Windows begins to count, and 1970. */
const EPOCH_100NS = 116_444_736_000_000_000n;

/** A FILETIME as ISO 8601, cut to milliseconds as PowerShell's are: both name the same process alike. */
export function isoOf(fileTime: bigint): string | null {
  if (fileTime <= 0n) return null;
  const date = new Date(Number((fileTime - EPOCH_100NS) / 10_000n));
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const PROCESS_ENTRY_BYTES = 256;

/** SYSTEM_PROCESS_INFORMATION of every process; null where the chain of entries leaves the buffer. */
export function parseProcessList(bytes: Uint8Array): CimProcess[] | null {
  const view = viewOf(bytes);
  const processes: CimProcess[] = [];
  const nameAt = nameReader(bytes);
  for (let at = 0;;) {
    if (at + PROCESS_ENTRY_BYTES > bytes.length) return null;
    const next = view.getUint32(at, true);
    const threads = view.getUint32(at + 4, true);
    const handles = view.getUint32(at + 96, true);
    // What has neither has ended, and is still listed because somebody holds a handle of it.
    if (threads > 0 || handles > 0) {
      processes.push({
        pid: Number(view.getBigUint64(at + 80, true)),
        parentPid: Number(view.getBigUint64(at + 88, true)),
        createdAt: isoOf(view.getBigInt64(at + 32, true)),
        commandLine: null,
        executable: null,
        name: nameAt(at, threads),
        workingSetBytes: Number(view.getBigUint64(at + 144, true)),
        cpuMs: Math.floor(
          Number(view.getBigInt64(at + 40, true) + view.getBigInt64(at + 48, true)) / 10_000,
        ),
      });
    }
    if (next === 0) return processes;
    at += next;
  }
}

const THREAD_ENTRY_BYTES = 80;

/**
 * Reads the names of an entry's program. Their addresses are those of the buffer, which an engine does not tell: the first
 * name, which stands behind its entry's threads, shows where that begins.
 */
function nameReader(bytes: Uint8Array): (at: number, threads: number) => string | null {
  const view = viewOf(bytes);
  let base: bigint | null = null;
  return (at, threads) => {
    const sizeBytes = view.getUint16(at + 56, true);
    const address = view.getBigUint64(at + 64, true);
    if (sizeBytes === 0 || address === 0n) return null;
    base ??= address - BigInt(at + PROCESS_ENTRY_BYTES + THREAD_ENTRY_BYTES * threads);
    const from = Number(address - base);
    const isWithin = from >= 0 && from + sizeBytes <= bytes.length;
    return isWithin ? utf16Text(bytes.subarray(from, from + sizeBytes)) : null;
  };
}

export interface ListenRow {
  port: number;
  address: string;
  /** 0 where Windows names nobody. */
  pid: number;
}

export type AddressFamily = "ipv4" | "ipv6";

/**
 * MIB_TCPTABLE_OWNER_PID and MIB_TCP6TABLE_OWNER_PID, asked for listeners only: those of one port, or all. Null where rows
 * are cut off.
 */
export function parseTcpTable(
  bytes: Uint8Array,
  family: AddressFamily,
  wanted: number | null = null,
): ListenRow[] | null {
  const view = viewOf(bytes);
  const rowBytes = family === "ipv4" ? 24 : 56;
  if (bytes.length < 4) return null;
  const count = view.getUint32(0, true);
  if (4 + count * rowBytes > bytes.length) return null;
  const rows: ListenRow[] = [];
  for (let at = 4; at < 4 + count * rowBytes; at += rowBytes) {
    const port = view.getUint16(at + (family === "ipv4" ? 8 : 20), false);
    if (wanted !== null && port !== wanted) continue;
    const address = family === "ipv4" ? bytes.subarray(at + 4, at + 8).join(".") : ipv6Text(view, at);
    rows.push({ port, address, pid: view.getUint32(at + (family === "ipv4" ? 20 : 52), true) });
  }
  return rows;
}

const ESTABLISHED = 5;

/**
 * How many established connections to a port MIB_TCPTABLE_OWNER_PID or MIB_TCP6TABLE_OWNER_PID has that the process `pid`
 * has not opened. Null where rows are cut off.
 */
export function countForeign(
  bytes: Uint8Array,
  family: AddressFamily,
  { port, pid }: { port: number; pid: number },
): number | null {
  const view = viewOf(bytes);
  const at = family === "ipv4"
    ? { row: 24, state: 0, local: 4, remote: 12, owner: 20, address: 4 }
    : { row: 56, state: 48, local: 0, remote: 24, owner: 52, address: 16 };
  if (bytes.length < 4) return null;
  const count = view.getUint32(0, true);
  if (4 + count * at.row > bytes.length) return null;
  // After the address comes its scope in IPv6, then the port.
  const portAt = at.address + (family === "ipv4" ? 0 : 4);
  const end = (from: number) => [...bytes.subarray(from, from + portAt + 2)].join(".");
  // A connection that a child inherited may be there once for each process.
  const [clients, own] = [new Set<string>(), new Set<string>()];
  for (let row = 4; row < 4 + count * at.row; row += at.row) {
    if (view.getUint32(row + at.state, true) !== ESTABLISHED) continue;
    if (view.getUint16(row + at.local + portAt, false) === port) clients.add(end(row + at.remote));
    const isOwn = view.getUint32(row + at.owner, true) === pid;
    if (isOwn && view.getUint16(row + at.remote + portAt, false) === port) own.add(end(row + at.local));
  }
  return [...clients].filter((client) => !own.has(client)).length;
}

function ipv6Text(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(at + 2 * index, false).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** A part of another process's memory. */
export interface Span {
  address: bigint;
  sizeBytes: number;
}

/** Where RTL_USER_PROCESS_PARAMETERS has what foster asks for; sizes are the target's own word, and not yet trusted. */
export interface ParameterSpans {
  folder: Span;
  commandLine: Span;
  environment: Span;
}

export const PARAMETERS_BYTES = 0x400;

export function parseParameters(bytes: Uint8Array): ParameterSpans {
  const view = viewOf(bytes);
  const text = (at: number): Span => ({
    address: view.getBigUint64(at + 8, true),
    sizeBytes: view.getUint16(at, true),
  });
  return {
    folder: text(0x38),
    commandLine: text(0x70),
    environment: {
      address: view.getBigUint64(0x80, true),
      sizeBytes: Number(view.getBigUint64(0x3f0, true)),
    },
  };
}

/** `NAME=value` entries up to the empty one that ends them. */
export function parseEnvironment(bytes: Uint8Array): string[] {
  const entries = utf16Text(bytes).split("\0");
  const end = entries.indexOf("");
  return end === -1 ? entries : entries.slice(0, end);
}

/** Lone surrogates, which file names may hold, come out as replacement characters. */
export function utf16Text(bytes: Uint8Array): string {
  return new TextDecoder("utf-16le", { ignoreBOM: true }).decode(bytes);
}

/** The text with the NUL that ends it. */
export function utf16Bytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(2 * (text.length + 1));
  const view = viewOf(bytes);
  for (let index = 0; index < text.length; index++) view.setUint16(2 * index, text.charCodeAt(index), true);
  return bytes;
}

/** UNICODE_STRING whose characters follow in the same buffer; null where they do not. */
export function parseUnicodeString(bytes: Uint8Array): string | null {
  const HEADER_BYTES = 16;
  if (bytes.length < HEADER_BYTES) return null;
  const sizeBytes = viewOf(bytes).getUint16(0, true);
  const end = HEADER_BYTES + sizeBytes;
  return end > bytes.length ? null : utf16Text(bytes.subarray(HEADER_BYTES, end));
}

/** JOBOBJECT_BASIC_PROCESS_ID_LIST. */
export function parseJobList(bytes: Uint8Array): { pids: number[]; isWhole: boolean } {
  const view = viewOf(bytes);
  const [assigned, listed] = [view.getUint32(0, true), view.getUint32(4, true)];
  const fits = Math.min(listed, Math.floor((bytes.length - 8) / 8));
  const pids = Array.from({ length: fits }, (_, index) => Number(view.getBigUint64(8 + 8 * index, true)));
  return { pids, isWhole: assigned <= fits };
}
