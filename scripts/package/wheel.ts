/**
 * Wheels for PyPI: the binary inside a small package, and the programs `foster` and `foster-mcp` that run it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { fileOf, type PackedFile, zip } from "./archive.ts";
import { about, isWindows, PACKAGE, type Target } from "./targets.ts";

const MODULE = PACKAGE.replaceAll("-", "_");

const python = `import os
import sys


def main():
    windows = os.name == "nt"
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "foster.exe" if windows else "foster")
    if not windows:
        os.execv(program, [program, *sys.argv[1:]])
    import subprocess

    child = subprocess.Popen([program, *sys.argv[1:]])
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # The console sends Ctrl-C to both.
            continue


if __name__ == "__main__":
    sys.exit(main())
`;

export function wheel(
  target: Target,
  { version, homepage, binary, readme, license }: {
    version: string;
    homepage: string;
    binary: Uint8Array;
    readme: string;
    license: string;
  },
): { file: string; bytes: Uint8Array } {
  const info = `${MODULE}-${version}.dist-info`;
  const tags = target.wheel.split(".").map((platform) => `Tag: py3-none-${platform}\n`).join("");
  const files: PackedFile[] = [
    fileOf(`${MODULE}/__init__.py`, ""),
    fileOf(`${MODULE}/__main__.py`, python),
    { path: `${MODULE}/${isWindows(target) ? "foster.exe" : "foster"}`, bytes: binary, executable: true },
    fileOf(
      `${info}/METADATA`,
      `Metadata-Version: 2.1\nName: ${PACKAGE}\nVersion: ${version}\nSummary: ${about.summary}\n` +
        `Home-page: ${homepage}\nLicense: ${about.license}\nRequires-Python: >=3.8\nDescription-Content-Type: text/markdown\n\n${readme}`,
    ),
    fileOf(`${info}/WHEEL`, `Wheel-Version: 1.0\nGenerator: foster\nRoot-Is-Purelib: false\n${tags}`),
    fileOf(
      `${info}/entry_points.txt`,
      `[console_scripts]\nfoster = ${MODULE}.__main__:main\n${PACKAGE} = ${MODULE}.__main__:main\n`,
    ),
    fileOf(`${info}/licenses/LICENSE`, license),
  ];
  const record =
    files.map(({ path, bytes }) =>
      `${path},sha256=${createHash("sha256").update(bytes).digest("base64url")},${bytes.length}\n`
    ).join("") + `${info}/RECORD,,\n`;
  return {
    file: `${MODULE}-${version}-py3-none-${target.wheel}.whl`,
    bytes: zip([...files, fileOf(`${info}/RECORD`, record)]),
  };
}
