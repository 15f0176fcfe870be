import { assert, assertEquals, assertMatch } from "@std/assert";
import { basename, join } from "@std/path";
import { type Host, HostError, type HostErrorCode } from "../../src/host/host.ts";
import type { ContractCase } from "./contract.ts";

export const fileCases: readonly ContractCase[] = [
  {
    name: "readText() is null when the file, or a folder above it, is missing",
    async run({ files }, { folder }) {
      await files.writeAtomic(join(folder, "file"), "x", 0o600);
      assertEquals(await files.readText(join(folder, "none")), null);
      assertEquals(await files.readText(join(folder, "none", "none")), null);
      assertEquals(await files.readText(join(folder, "file", "none")), null);
    },
  },
  {
    name: "readText() throws a HostError when the path is a folder",
    async run({ files }, { folder }) {
      await assertCode(files.readText(folder));
    },
  },
  {
    name: "readOwn() reads a part of a regular file and says how large the whole is",
    async run({ files }, { folder }) {
      const path = join(folder, "file");
      assertEquals(await files.readOwn(path, { offset: 0, limitBytes: 10 }), { kind: "none" });
      await files.writeAtomic(path, "0123456789", 0o600);
      assertEquals(await files.readOwn(join(path, "none"), { offset: 0, limitBytes: 10 }), { kind: "none" });
      for (
        const [offset, limitBytes, text] of [[0, 100, "0123456789"], [4, 3, "456"], [9, 5, "9"], [
          20,
          5,
          "",
        ]] as const
      ) {
        const read = await files.readOwn(path, { offset, limitBytes });
        assert(read.kind === "read");
        assertEquals([new TextDecoder().decode(read.bytes), read.sizeBytes], [text, 10]);
      }
    },
  },
  {
    name: "readOwn() follows no link and reads no folder",
    links: true,
    async run({ files }, { folder, link }) {
      await files.writeAtomic(join(folder, "target"), "x", 0o600);
      link(join(folder, "target"), join(folder, "link"));
      const slice = { offset: 0, limitBytes: 10 };
      assertEquals(await files.readOwn(join(folder, "link"), slice), { kind: "odd", what: "link" });
      assertEquals(await files.readOwn(folder, slice), { kind: "odd", what: "directory" });
    },
  },
  {
    name:
      "moveHead() moves the beginning of a file out of it and leaves what stands behind, or changes nothing",
    async run({ files }, { folder }) {
      const path = join(folder, "log");
      const text = (from: string, to: number) => from.repeat(to);
      await files.writeAtomic(path, text("a", 9_000) + text("b", 9_000) + "rest\n", 0o600);
      const target = (n: number) => ({ to: `${path}.${n}`, mode: 0o600 });
      if (!await files.moveHead(path, { offset: 0, limitBytes: 9_000 }, target(1))) {
        assertEquals([await files.stat(`${path}.1`), (await files.stat(path))?.sizeBytes], [null, 18_005]);
        return;
      }
      await files.append(path, "more\n", 0o600);
      assertEquals(await files.moveHead(path, { offset: 9_000, limitBytes: 9_000 }, target(2)), true);
      assertEquals(await files.readText(`${path}.1`), text("a", 9_000));
      assertEquals(await files.readText(`${path}.2`), text("b", 9_000));
      assertEquals(await files.readText(path), text("\0", 18_000) + "rest\nmore\n");
    },
  },
  {
    name: "moveHead() of a large file lets others have their turn meanwhile",
    real: true,
    async run({ files, clock }, { folder }) {
      const path = join(folder, "log");
      const sizeBytes = 16 * 1024 * 1024;
      await files.writeAtomic(path, "a".repeat(sizeBytes), 0o600);
      let turns = 0;
      const stop = clock.every(1, () => turns++);
      const isMoved = await files.moveHead(path, { offset: 0, limitBytes: sizeBytes }, {
        to: `${path}.1`,
        mode: 0o600,
      });
      stop();
      if (isMoved) assert(turns > 0);
    },
  },
  {
    name: "writeAtomic() creates and replaces with exactly the mode, and leaves no draft",
    async run(host, { folder }) {
      const path = join(folder, "record ü.json");
      await host.files.writeAtomic(path, "first, which is longer\n", 0o600);
      await host.files.writeAtomic(path, "zweites äöü €\n", 0o666);
      assertEquals(await host.files.readText(path), "zweites äöü €\n");
      await assertMode(host, path, 0o666);
      assertEquals(await names(host, folder), ["record ü.json"]);
    },
  },
  {
    name: "writeAtomic() throws not_found when the folder is missing",
    async run({ files }, { folder }) {
      await assertCode(files.writeAtomic(join(folder, "none", "file"), "x", 0o600), "not_found");
      assertEquals(await files.list(join(folder, "none")), null);
    },
  },
  {
    name: "writeAtomic() replaces a link and leaves what it pointed to",
    async run({ files }, { folder, link }) {
      await files.writeAtomic(join(folder, "target"), "kept", 0o600);
      link(join(folder, "target"), join(folder, "link"));
      await files.writeAtomic(join(folder, "link"), "new", 0o600);
      assertEquals((await files.stat(join(folder, "link")))?.kind, "file");
      assertEquals(await files.readText(join(folder, "target")), "kept");
    },
  },
  {
    name: "writeAtomic() leaves no draft when a folder is in the way",
    async run(host, { folder }) {
      await host.files.makeDir(join(folder, "taken", "below"), 0o700);
      await assertCode(host.files.writeAtomic(join(folder, "taken"), "x", 0o600));
      assertEquals(await names(host, folder), ["taken"]);
    },
  },
  {
    name: "writeNew() creates with the mode and throws exists the second time",
    async run(host, { folder }) {
      const path = join(folder, "new");
      await host.files.writeNew(path, "one", 0o640);
      await assertCode(host.files.writeNew(path, "two", 0o600), "exists");
      assertEquals(await host.files.readText(path), "one");
      await assertMode(host, path, 0o640);
    },
  },
  {
    name: "append() creates with the mode and then adds to the end",
    async run(host, { folder }) {
      const path = join(folder, "log");
      await host.files.append(path, "one\n", 0o600);
      await host.files.append(path, "zwei ü\n", 0o600);
      assertEquals(await host.files.readText(path), "one\nzwei ü\n");
      await assertMode(host, path, 0o600);
    },
  },
  {
    name: "readSlice() gives the bytes from the offset, fewer at the end, none behind it",
    async run({ files }, { folder }) {
      const path = join(folder, "slices");
      const text = "0123456789".repeat(20_000);
      await files.writeAtomic(path, text, 0o600);
      const slice = async (offset: number, limit: number) =>
        new TextDecoder().decode(await files.readSlice(path, offset, limit) ?? new Uint8Array());
      assertEquals(await slice(3, 4), "3456");
      assertEquals(await slice(199_998, 10), "89");
      assertEquals(await slice(300_000, 10), "");
      assertEquals(await slice(0, 1_000_000), text);
      assertEquals(await files.readSlice(join(folder, "none"), 0, 10), null);
    },
  },
  {
    name: "truncate() cuts to the size and throws not_found when the file is missing",
    async run({ files }, { folder }) {
      const path = join(folder, "cut");
      await files.writeAtomic(path, "0123456789", 0o600);
      await files.truncate(path, 4);
      assertEquals(await files.readText(path), "0123");
      await files.truncate(path, 0);
      assertEquals(await files.readText(path), "");
      await assertCode(files.truncate(join(folder, "none"), 0), "not_found");
    },
  },
  {
    name: "remove() tells whether there was a file, and refuses a folder",
    async run({ files }, { folder }) {
      await files.writeAtomic(join(folder, "gone"), "x", 0o600);
      await files.makeDir(join(folder, "empty"), 0o700);
      assertEquals(await files.remove(join(folder, "gone")), true);
      assertEquals(await files.remove(join(folder, "gone")), false);
      await assertCode(files.remove(join(folder, "empty")));
      assertEquals(await files.list(join(folder, "empty")), []);
    },
  },
  {
    name: "remove() removes a link and leaves what it pointed to",
    links: true,
    async run({ files }, { folder, link }) {
      await files.writeAtomic(join(folder, "target"), "kept", 0o600);
      link(join(folder, "target"), join(folder, "link"));
      assertEquals(await files.remove(join(folder, "link")), true);
      assertEquals(await files.stat(join(folder, "link")), null);
      assertEquals(await files.readText(join(folder, "target")), "kept");
    },
  },
  {
    name: "removeTree() removes a folder with all in it and never follows a link",
    links: true,
    async run({ files }, { folder, link }) {
      const [kept, tree] = [join(folder, "kept"), join(folder, "tree")];
      await files.makeDir(kept, 0o700);
      await files.writeAtomic(join(kept, "file"), "kept", 0o600);
      await files.makeDir(join(tree, "a", "b"), 0o700);
      await files.writeAtomic(join(tree, "a", "b", "file"), "x", 0o600);
      link(kept, join(tree, "a", "to-kept"));
      link(join(folder, "nowhere"), join(tree, "dangling"));
      assertEquals(await files.removeTree(tree), true);
      assertEquals(await files.removeTree(tree), false);
      assertEquals(await files.readText(join(kept, "file")), "kept");
      link(kept, tree);
      assertEquals(await files.removeTree(tree), true);
      assertEquals(await files.stat(tree), null);
      assertEquals(await files.readText(join(kept, "file")), "kept");
    },
  },
  {
    name: "rename() moves over an existing file and throws not_found when there is nothing to move",
    async run(host, { folder }) {
      const { files } = host;
      await files.writeAtomic(join(folder, "from"), "new", 0o600);
      await files.writeAtomic(join(folder, "to"), "old", 0o600);
      await files.rename(join(folder, "from"), join(folder, "to"));
      assertEquals(await files.readText(join(folder, "to")), "new");
      assertEquals(await names(host, folder), ["to"]);
      await assertCode(files.rename(join(folder, "from"), join(folder, "to")), "not_found");
    },
  },
  {
    name: "rename() moves a folder with all in it",
    async run({ files }, { folder }) {
      await files.makeDir(join(folder, "from", "below"), 0o700);
      await files.writeAtomic(join(folder, "from", "below", "file"), "x", 0o600);
      await files.rename(join(folder, "from"), join(folder, "to"));
      assertEquals(await files.readText(join(folder, "to", "below", "file")), "x");
      assertEquals(await files.list(join(folder, "from")), null);
    },
  },
  {
    name: "copy() copies the text and throws not_found when there is nothing to copy",
    async run({ files }, { folder }) {
      await files.writeAtomic(join(folder, "from"), "text", 0o600);
      await files.copy(join(folder, "from"), join(folder, "to"));
      await files.append(join(folder, "from"), " and more", 0o600);
      assertEquals(await files.readText(join(folder, "to")), "text");
      await assertCode(files.copy(join(folder, "none"), join(folder, "to")), "not_found");
    },
  },
  {
    name: "makeDir() creates the folders above too, and leaves an existing one as it is",
    async run(host, { folder }) {
      await host.files.makeDir(join(folder, "a", "b"), 0o700);
      await assertMode(host, join(folder, "a"), 0o700);
      await assertMode(host, join(folder, "a", "b"), 0o700);
      await host.files.chmod(join(folder, "a", "b"), 0o750);
      await host.files.makeDir(join(folder, "a", "b"), 0o700);
      await assertMode(host, join(folder, "a", "b"), 0o750);
    },
  },
  {
    name: "makeDir() throws exists when a file is in the way",
    async run({ files }, { folder }) {
      await files.writeAtomic(join(folder, "file"), "x", 0o600);
      await assertCode(files.makeDir(join(folder, "file"), 0o700), "exists");
    },
  },
  {
    name: "list() names files, folders and links, and is null when there is no folder",
    links: true,
    async run({ files }, { folder, link }) {
      assertEquals(await files.list(folder), []);
      await files.writeAtomic(join(folder, "file"), "x", 0o600);
      await files.makeDir(join(folder, "folder", "below"), 0o700);
      link(join(folder, "folder"), join(folder, "link"));
      const found = (await files.list(folder) ?? []).sort((a, b) => a.name < b.name ? -1 : 1);
      assertEquals(found, [
        { name: "file", kind: "file" },
        { name: "folder", kind: "directory" },
        { name: "link", kind: "link" },
      ]);
      assertEquals(await files.list(join(folder, "none")), null);
    },
  },
  {
    name: "stat() looks at the link itself, and is null when there is nothing",
    links: true,
    async run(host, { folder, link }) {
      const { files } = host;
      await files.writeAtomic(join(folder, "file"), "äöü", 0o640);
      link(join(folder, "file"), join(folder, "link"));
      const [file, linked, dir] = await Promise.all(
        ["file", "link", "."].map((name) => files.stat(join(folder, name))),
      );
      assertEquals([file?.kind, linked?.kind, dir?.kind], ["file", "link", "directory"]);
      assertEquals(file?.sizeBytes, 6);
      assert(Math.abs((file?.modifiedAt ?? 0) - host.clock.now()) < 60_000);
      assertEquals(file?.uid, dir?.uid);
      assertEquals(await files.stat(join(folder, "none")), null);
    },
  },
  {
    name: "realPath() follows links and is null when there is nothing",
    links: true,
    async run({ files }, { folder, link }) {
      await files.makeDir(join(folder, "real"), 0o700);
      await files.writeAtomic(join(folder, "real", "file"), "x", 0o600);
      link(join(folder, "real"), join(folder, "link"));
      link(join(folder, "none"), join(folder, "dangling"));
      const real = await files.realPath(join(folder, "real", "file"));
      assertEquals(await files.realPath(join(folder, "link", "file")), real);
      assertEquals(basename(real ?? ""), "file");
      assertEquals(await files.realPath(join(folder, "dangling")), null);
      assertEquals(await files.realPath(join(folder, "none")), null);
    },
  },
  {
    name: "isExecutable() says yes of a file with the permission, never of a folder",
    only: "posix",
    async run({ files }, { folder, link }) {
      await files.writeAtomic(join(folder, "program"), "", 0o700);
      await files.writeAtomic(join(folder, "text"), "", 0o600);
      link(join(folder, "program"), join(folder, "link"));
      const verdicts = ["program", "link", "text", "none", ".", "text/below"].map((name) =>
        files.isExecutable(join(folder, name))
      );
      assertEquals(await Promise.all(verdicts), [true, true, false, false, false, false]);
      await files.chmod(join(folder, "text"), 0o755);
      assertEquals(await files.isExecutable(join(folder, "text")), true);
    },
  },
  {
    name: "tryLock() excludes a second holder until the first lets go, and leaves the file",
    async run(host, { folder }) {
      const path = join(folder, "lock");
      const first = await host.files.tryLock(path, 0o600);
      assert(first !== null);
      assertEquals(await host.files.tryLock(path, 0o600), null);
      const other = await host.files.tryLock(join(folder, "other"), 0o600);
      assert(other !== null);
      first.release();
      first.release();
      const second = await host.files.tryLock(path, 0o600);
      assert(second !== null);
      first.release();
      assertEquals(await host.files.tryLock(path, 0o600), null);
      second.release();
      other.release();
      await assertMode(host, path, 0o600);
    },
  },
  {
    name: "tryLock() throws not_found when the folder is missing",
    async run({ files }, { folder }) {
      await assertCode(files.tryLock(join(folder, "none", "lock"), 0o600), "not_found");
    },
  },
];

/** Resolves when `work` fails with a HostError, of this code where one is named. */
export async function assertCode(work: Promise<unknown>, code?: HostErrorCode): Promise<HostError> {
  try {
    await work;
  } catch (error) {
    assert(error instanceof HostError, `not a HostError: ${error}`);
    if (code !== undefined) assertEquals(error.code, code, error.message);
    assertMatch(error.message, /[\\/]/);
    return error;
  }
  throw new Error(`nothing was thrown where ${code ?? "a HostError"} was expected`);
}

async function names({ files }: Host, folder: string): Promise<string[]> {
  return (await files.list(folder) ?? []).map((entry) => entry.name).sort();
}

/** Windows has no such bits. */
async function assertMode(host: Host, path: string, mode: number): Promise<void> {
  const found = await host.files.stat(path);
  assertEquals(found?.mode, host.system === "windows" ? null : mode);
}
