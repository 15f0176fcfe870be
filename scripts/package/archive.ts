/**
 * Tar and zip, as packages need them: a few files from memory, the same bytes for the same files.
 *
 * @module
 */
import { crc32, deflateRawSync, gzipSync } from "node:zlib";

export interface PackedFile {
  /** With forward slashes. */
  path: string;
  bytes: Uint8Array;
  executable?: boolean;
}

/** The first moment that a zip can name: nothing of the machine is in an archive. */
const EPOCH_S = Date.UTC(1980, 0, 1) / 1000;
const ZIP_DATE = (1 << 5) | 1;
const encode = (text: string) => new TextEncoder().encode(text);

export function fileOf(path: string, text: string, executable = false): PackedFile {
  return { path, bytes: encode(text), executable };
}

/** ustar. @throws Error for a path that is too long */
export function tar(files: readonly PackedFile[]): Uint8Array<ArrayBuffer> {
  const blocks = files.flatMap((
    file,
  ) => [headerOf(file), file.bytes, new Uint8Array(-file.bytes.length & 511)]);
  return joined([...blocks, new Uint8Array(1024)]);
}

export function tarGz(files: readonly PackedFile[]): Uint8Array {
  return gzipSync(tar(files), { level: 9 });
}

function headerOf({ path, bytes, executable }: PackedFile): Uint8Array {
  if (encode(path).length > 100) throw new Error(`too long for a tar: ${path}`);
  const header = new Uint8Array(512);
  const put = (at: number, text: string) => header.set(encode(text), at);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, "0") + "\0";
  put(0, path);
  put(100, octal(executable ? 0o755 : 0o644, 8));
  put(108, octal(0, 8));
  put(116, octal(0, 8));
  put(124, octal(bytes.length, 12));
  put(136, octal(EPOCH_S, 12));
  put(148, " ".repeat(8));
  put(156, "0");
  put(257, "ustar\x0000");
  const sum = header.reduce((all, byte) => all + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return header;
}

/** Deflated, with Unix modes. */
export function zip(files: readonly PackedFile[]): Uint8Array<ArrayBuffer> {
  const locals: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const { path, bytes, executable } of files) {
    const name = encode(path);
    const packed = deflateRawSync(bytes, { level: 9 });
    // Version, flags (UTF-8 names), method, time, date, sum, sizes, lengths of name and extra field.
    const common = fields(
      [20, 2],
      [0x800, 2],
      [8, 2],
      [0, 2],
      [ZIP_DATE, 2],
      [crc32(bytes), 4],
      [packed.length, 4],
      [
        bytes.length,
        4,
      ],
      [name.length, 2],
      [0, 2],
    );
    locals.push(fields([0x04034b50, 4]), common, name, packed);
    const mode = executable ? 0o100755 : 0o100644;
    central.push(
      fields([0x02014b50, 4], [(3 << 8) | 20, 2]),
      common,
      fields([0, 2], [0, 2], [0, 2], [mode * 0x10000, 4], [offset, 4]),
      name,
    );
    offset += 4 + common.length + name.length + packed.length;
  }
  const directory = joined(central);
  const count = files.length;
  const end = fields([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [directory.length, 4], [
    offset,
    4,
  ], [0, 2]);
  return joined([...locals, directory, end]);
}

/** Little-endian numbers with their widths. */
function fields(...values: [value: number, width: number][]): Uint8Array {
  return Uint8Array.from(
    values.flatMap(([value, width]) =>
      Array.from({ length: width }, (_, byte) => Math.floor(value / 2 ** (8 * byte)) & 255)
    ),
  );
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
