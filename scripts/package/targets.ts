/**
 * What each published binary is called by those who install it.
 *
 * @module
 */
export interface Target {
  /** As the build names it. */
  binary: string;
  /** Of its archive, after `foster-VERSION-`. */
  archive: string;
  npm: { suffix: string; os: string; cpu: string; libc?: string };
  /** The platform tag of its wheel. */
  wheel: string;
}

export const targets: readonly Target[] = [
  {
    binary: "foster-linux-x64",
    archive: "linux-x64.tar.xz",
    npm: { suffix: "linux-x64", os: "linux", cpu: "x64", libc: "glibc" },
    wheel: "manylinux_2_17_x86_64.manylinux2014_x86_64",
  },
  {
    binary: "foster-linux-arm64",
    archive: "linux-arm64.tar.xz",
    npm: { suffix: "linux-arm64", os: "linux", cpu: "arm64", libc: "glibc" },
    wheel: "manylinux_2_17_aarch64.manylinux2014_aarch64",
  },
  {
    binary: "foster-linux-x64-musl",
    archive: "linux-x64-musl.tar.xz",
    npm: { suffix: "linux-x64-musl", os: "linux", cpu: "x64", libc: "musl" },
    wheel: "musllinux_1_2_x86_64",
  },
  {
    binary: "foster-linux-arm64-musl",
    archive: "linux-arm64-musl.tar.xz",
    npm: { suffix: "linux-arm64-musl", os: "linux", cpu: "arm64", libc: "musl" },
    wheel: "musllinux_1_2_aarch64",
  },
  {
    binary: "foster-macos-x64",
    archive: "macos-x64.tar.xz",
    npm: { suffix: "darwin-x64", os: "darwin", cpu: "x64" },
    wheel: "macosx_13_0_x86_64",
  },
  {
    binary: "foster-macos-arm64",
    archive: "macos-arm64.tar.xz",
    npm: { suffix: "darwin-arm64", os: "darwin", cpu: "arm64" },
    wheel: "macosx_13_0_arm64",
  },
  {
    binary: "foster-windows-x64.exe",
    archive: "windows-x64.zip",
    npm: { suffix: "win32-x64", os: "win32", cpu: "x64" },
    wheel: "win_amd64",
  },
];

/** The package's name on npm and PyPI: `foster` alone is somebody else's. */
export const PACKAGE = "foster-mcp";

export const about = {
  summary: "Owns the life of local MCP servers: starts, finds, restarts and shares them",
  license: "MIT",
};

export function isWindows({ binary }: Target): boolean {
  return binary.endsWith(".exe");
}

/** A page of the repository for those who have it without the others: its links lead to this version's own. */
export function withWholeLinks(page: string, { homepage, version }: { homepage: string; version: string }) {
  return page.replaceAll(
    /(!?)(\[[^\]]*\])\((?!\w+:|#)([^)\s]+)\)/g,
    (_, image, text, path) =>
      `${image}${text}(${homepage}/${image === "!" ? "raw" : "blob"}/v${version}/${path})`,
  );
}
