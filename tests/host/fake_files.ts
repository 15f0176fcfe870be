/**
 * Files in memory, with the paths of POSIX.
 *
 * @module
 */
import {
  type DirEntry,
  type FileLock,
  type Files,
  type FileStat,
  HostError,
  type HostErrorCode,
  type OwnRead,
  type Slice,
} from "../../src/host/host.ts";

type Node =
  & { mode: number; modifiedAt: number; uid?: number }
  & (
    | { kind: "file"; bytes: Uint8Array }
    | { kind: "directory" }
    | { kind: "link"; target: string }
    /** A device or pipe: nothing but a look at it is free of danger. */
    | { kind: "other" }
  );

type FileNode = Extract<Node, { kind: "file" }>;

/** The user that the fake foster runs as. */
export const ownUid = 1000;

export class FakeFiles implements Files {
  /** Whether {@link moveHead} works here. */
  makesHoles = true;
  readonly #now: () => number;
  readonly #nodes = new Map<string, Node>();
  readonly #locked = new Set<string>();
  readonly #refused = new Map<string, HostErrorCode>();

  constructor(now: () => number) {
    this.#now = now;
    for (const path of ["/", "/tmp"]) {
      this.#nodes.set(path, { kind: "directory", mode: 0o755, modifiedAt: now() });
    }
  }

  // ------------------------------------------------------------------------------------------ for tests: arranging

  /** Puts a file there, with its folders, whatever was there before. */
  put(path: string, text: string, mode = 0o600): void {
    this.putDir(parentOf(path));
    this.#nodes.set(tidy(path), {
      kind: "file",
      bytes: new TextEncoder().encode(text),
      mode,
      modifiedAt: this.#now(),
    });
  }

  /** Puts a folder there, with those above it. */
  putDir(path: string, mode = 0o700): void {
    const wanted = tidy(path);
    if (wanted !== "/") this.putDir(parentOf(wanted), mode);
    if (!this.#nodes.has(wanted)) {
      this.#nodes.set(wanted, { kind: "directory", mode, modifiedAt: this.#now() });
    }
  }

  putLink(path: string, target: string): void {
    this.putDir(parentOf(path));
    this.#nodes.set(tidy(path), {
      kind: "link",
      target: posixPath(target),
      mode: 0o777,
      modifiedAt: this.#now(),
    });
  }

  /** A named pipe: who opens it waits for ever. */
  putPipe(path: string): void {
    this.putDir(parentOf(path));
    this.#nodes.set(tidy(path), { kind: "other", mode: 0o600, modifiedAt: this.#now() });
  }

  /** Gives what is there to another user. */
  setOwner(path: string, uid: number): void {
    this.#existing(path).uid = uid;
  }

  /** Sets the time of the last change of a file or folder that is there. */
  setModified(path: string, modifiedAt: number): void {
    this.#existing(path).modifiedAt = modifiedAt;
  }

  /** From now on every call that names exactly this path throws `code`; null ends it. */
  refuse(path: string, code: HostErrorCode | null): void {
    if (code === null) this.#refused.delete(tidy(path));
    else this.#refused.set(tidy(path), code);
  }

  /** Text of a file, null where there is none. */
  text(path: string): string | null {
    const node = this.#nodes.get(this.#resolve(path));
    return node?.kind === "file" ? new TextDecoder().decode(node.bytes) : null;
  }

  /** All paths of files and links, sorted. */
  paths(): string[] {
    return [...this.#nodes].filter(([, node]) => node.kind !== "directory").map(([path]) => path).sort();
  }

  /** Whether somebody holds the lock at this path. */
  isLocked(path: string): boolean {
    return this.#locked.has(this.#resolve(path));
  }

  // ---------------------------------------------------------------------------------------------- what a host does

  readText(path: string): Promise<string | null> {
    return this.#do(path, () => {
      const node = this.#file(path);
      return node === null ? null : new TextDecoder().decode(node.bytes);
    });
  }

  readSlice(path: string, offset: number, limitBytes: number): Promise<Uint8Array | null> {
    return this.#do(path, () => this.#file(path)?.bytes.slice(offset, offset + limitBytes) ?? null);
  }

  readOwn(path: string, { offset, limitBytes }: Slice): Promise<OwnRead> {
    return this.#do(path, () => {
      const node = this.#nodes.get(this.#resolveParent(path));
      if (node === undefined) return { kind: "none" };
      if (node.kind !== "file") return { kind: "odd", what: node.kind };
      const bytes = node.bytes.slice(offset, offset + limitBytes);
      return {
        kind: "read",
        bytes,
        sizeBytes: node.bytes.length,
        modifiedAt: node.modifiedAt,
        uid: node.uid ?? ownUid,
      };
    });
  }

  writeAtomic(path: string, text: string, mode: number): Promise<void> {
    return this.#do(path, () => {
      const at = tidy(path);
      this.#needFolder(at);
      if (this.#nodes.get(at)?.kind === "directory") throw new HostError("exists", `${path} is a folder`);
      this.#create(at, text, mode);
    });
  }

  writeNew(path: string, text: string, mode: number): Promise<void> {
    return this.#do(path, () => {
      this.#needFolder(path);
      if (this.#nodes.has(tidy(path))) throw new HostError("exists", `${path} exists already`);
      this.#create(tidy(path), text, mode);
    });
  }

  append(path: string, text: string, mode: number): Promise<void> {
    return this.#do(path, () => {
      const node = this.#file(path);
      if (node === null) {
        this.#needFolder(this.#resolve(path));
        this.#create(this.#resolve(path), text, mode);
      } else {
        node.bytes = joined(node.bytes, new TextEncoder().encode(text));
        node.modifiedAt = this.#now();
      }
    });
  }

  remove(path: string): Promise<boolean> {
    return this.#do(path, () => {
      const at = this.#resolveParent(path);
      if (this.#nodes.get(at)?.kind === "directory") throw new HostError("denied", `${path} is a folder`);
      if (this.#nodes.has(at)) this.#needWritable(at);
      return this.#nodes.delete(at);
    });
  }

  removeTree(path: string): Promise<boolean> {
    return this.#do(path, () => {
      const at = this.#resolveParent(path);
      // What is in a folder goes before it; the first that can't go ends it.
      for (const below of [...this.#nodes.keys()].sort().reverse()) {
        if (!below.startsWith(`${at}/`)) continue;
        this.#needWritable(below);
        this.#nodes.delete(below);
      }
      return this.#nodes.delete(at);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do(from, () => {
      const [source, target] = [this.#resolveParent(from), this.#resolveParent(to)];
      this.#existing(from);
      this.#needFolder(to);
      for (const [path, node] of [...this.#nodes]) {
        if (path !== source && !path.startsWith(`${source}/`)) continue;
        this.#nodes.delete(path);
        this.#nodes.set(target + path.slice(source.length), node);
      }
    });
  }

  copy(from: string, to: string): Promise<void> {
    return this.#do(from, () => {
      const node = this.#file(from);
      if (node === null) throw missing(from);
      this.#needFolder(to);
      this.#nodes.set(this.#resolve(to), { ...node, bytes: node.bytes.slice(), modifiedAt: this.#now() });
    });
  }

  truncate(path: string, sizeBytes: number): Promise<void> {
    return this.#do(path, () => {
      const node = this.#file(path);
      if (node === null) throw missing(path);
      node.bytes = joined(
        node.bytes.slice(0, sizeBytes),
        new Uint8Array(Math.max(0, sizeBytes - node.bytes.length)),
      );
    });
  }

  moveHead(
    path: string,
    { offset, limitBytes }: Slice,
    target: { to: string; mode: number },
  ): Promise<boolean> {
    return this.#do(path, () => {
      const node = this.#file(path);
      if (node === null) throw missing(path);
      if (!this.makesHoles) return false;
      const end = offset + limitBytes;
      this.#create(tidy(target.to), "", target.mode);
      const moved = this.#file(target.to);
      if (moved !== null) moved.bytes = node.bytes.slice(offset, end);
      node.bytes = node.bytes.slice().fill(0, 0, end);
      return true;
    });
  }

  makeDir(path: string, mode: number): Promise<void> {
    return this.#do(path, () => {
      if (this.#nodes.get(this.#resolve(path))?.kind === "file") {
        throw new HostError("exists", `${path} is a file`);
      }
      this.putDir(this.#resolve(path), mode);
    });
  }

  list(path: string): Promise<DirEntry[] | null> {
    return this.#do(path, () => {
      const folder = this.#resolve(path);
      const kind = this.#nodes.get(folder)?.kind;
      if (kind !== "directory") return null;
      return [...this.#nodes]
        .filter(([each]) => each !== "/" && parentOf(each) === folder)
        .map(([each, node]) => ({ name: each.slice(each.lastIndexOf("/") + 1), kind: node.kind }));
    });
  }

  stat(path: string): Promise<FileStat | null> {
    return this.#do(path, () => {
      const node = this.#nodes.get(this.#resolveParent(path));
      if (node === undefined) return null;
      const sizeBytes = node.kind === "file" ? node.bytes.length : 0;
      return {
        kind: node.kind,
        sizeBytes,
        modifiedAt: node.modifiedAt,
        mode: node.mode,
        uid: node.uid ?? ownUid,
      };
    });
  }

  realPath(path: string): Promise<string | null> {
    return this.#do(path, () => {
      const real = this.#resolve(path);
      return this.#nodes.has(real) ? real : null;
    });
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#do(path, () => {
      this.#existing(this.#resolve(path)).mode = mode;
    });
  }

  keepsModes(): Promise<boolean> {
    return Promise.resolve(true);
  }

  isExecutable(path: string): Promise<boolean> {
    return this.#do(path, () => {
      const node = this.#nodes.get(this.#resolve(path));
      return node?.kind === "file" && (node.mode & 0o111) !== 0;
    });
  }

  tryLock(path: string, mode: number): Promise<FileLock | null> {
    return this.#do(path, () => {
      const at = this.#resolve(path);
      this.#needFolder(at);
      if (!this.#nodes.has(at)) this.#create(at, "", mode);
      if (this.#locked.has(at)) return null;
      this.#locked.add(at);
      let held = true;
      return {
        release: () => {
          if (held) this.#locked.delete(at);
          held = false;
        },
      };
    });
  }

  // ------------------------------------------------------------------------------------------------------- within

  async #do<T>(path: string, action: () => T): Promise<T> {
    await Promise.resolve();
    const code = this.#refused.get(tidy(path));
    if (code !== undefined) throw new HostError(code, `${path}: refused (${code})`);
    return action();
  }

  #create(path: string, text: string, mode: number): void {
    this.#nodes.set(path, {
      kind: "file",
      bytes: new TextEncoder().encode(text),
      mode,
      modifiedAt: this.#now(),
    });
  }

  /** For what is to be deleted: neither refused, nor in a folder without write permission. */
  #needWritable(at: string): void {
    const refused = this.#refused.get(at);
    if (refused !== undefined) throw new HostError(refused, `${at} is refused by this test`);
    if ((this.#existing(parentOf(at)).mode & 0o200) === 0) {
      throw new HostError("denied", `${parentOf(at)} is read-only`);
    }
  }

  #needFolder(path: string): void {
    const folder = this.#resolve(parentOf(path));
    if (this.#nodes.get(folder)?.kind !== "directory") throw missing(folder);
  }

  #existing(path: string): Node {
    const node = this.#nodes.get(this.#resolveParent(path));
    if (node === undefined) throw missing(path);
    return node;
  }

  #file(path: string): FileNode | null {
    const node = this.#nodes.get(this.#resolve(path));
    if (node === undefined) return null;
    if (node.kind !== "file") throw new HostError("failed", `${path} is a ${node.kind}`);
    return node;
  }

  /** Follows links in the folders above `path`, but not at `path` itself. */
  #resolveParent(path: string): string {
    const wanted = tidy(path);
    if (wanted === "/") return wanted;
    return tidy(`${this.#resolve(parentOf(wanted))}/${wanted.slice(wanted.lastIndexOf("/") + 1)}`);
  }

  #resolve(path: string, depth = 0): string {
    const at = this.#resolveParent(path);
    const node = this.#nodes.get(at);
    if (node?.kind !== "link") return at;
    if (depth > 40) throw new HostError("failed", `${path}: too many links`);
    const target = node.target.startsWith("/") ? node.target : `${parentOf(at)}/${node.target}`;
    return this.#resolve(target, depth + 1);
  }
}

/** The path as the fake machine knows it, which is of POSIX also where the tests run on Windows and `node:path` is not. */
export function posixPath(path: string): string {
  return Deno.build.os === "windows" ? path.replace(/^[A-Za-z]:(?=[\\/])/, "").replaceAll("\\", "/") : path;
}

function tidy(path: string): string {
  const kept: string[] = [];
  for (const part of posixPath(path).split("/")) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(part);
  }
  return `/${kept.join("/")}`;
}

function parentOf(path: string): string {
  const tidied = tidy(path);
  return tidied.slice(0, tidied.lastIndexOf("/")) || "/";
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function missing(path: string): HostError {
  return new HostError("not_found", `${path} does not exist`);
}
