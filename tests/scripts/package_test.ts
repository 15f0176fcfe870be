import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { fileOf, tar, zip } from "../../scripts/package/archive.ts";
import { homebrew, sbom, scoop, winget } from "../../scripts/package/manifests.ts";
import { npmBinary, npmLauncher } from "../../scripts/package/npm.ts";
import { targets, withWholeLinks } from "../../scripts/package/targets.ts";
import { wheel } from "../../scripts/package/wheel.ts";
import { freePort } from "../e2e/harness.ts";
import { missing, notLinux, unless } from "../skip.ts";

const PROGRAM = new TextEncoder().encode('#!/bin/sh\necho "foster 1.2.3 $*"\nexit 7\n');
const common = {
  version: "1.2.3",
  homepage: "https://a.example/foster",
  readme: "read me\n",
  license: "license\n",
};
const system = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;
const here = targets.filter(({ npm }) => npm.suffix === system);

async function output(command: string, args: string[], options: Deno.CommandOptions = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, ...options }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test(unless(await missing("tar"), "tar() is one that tar reads, with modes"), async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeFile(join(folder, "a.tar"), tar([fileOf("a/b", "text"), fileOf("c", "#!/bin/sh\n", true)]));
  const { stdout } = await output("tar", ["-tvf", join(folder, "a.tar")]);
  assertMatch(stdout, /^-rw-r--r-- .* 4 .* a\/b\n-rwxr-xr-x .* 10 .* c\n$/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test(
  unless(await missing("python3"), "zip() is one that python reads, with modes and sums"),
  async () => {
    const folder = await Deno.makeTempDir();
    await Deno.writeFile(
      join(folder, "a.zip"),
      zip([fileOf("a/b", "text"), fileOf("ä", "#!/bin/sh\n", true)]),
    );
    const program = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1]); print(z.testzip())\n" +
      "for i in z.infolist(): print(ascii(i.filename), oct(i.external_attr >> 16), z.read(i))";
    const { stdout } = await output("python3", ["-c", program, join(folder, "a.zip")]);
    assertEquals(stdout, "None\n'a/b' 0o100644 b'text'\n'\\xe4' 0o100755 b'#!/bin/sh\\n'\n");
    await Deno.remove(folder, { recursive: true });
  },
);

const noNpm = notLinux ?? await missing("npm");
Deno.test(
  unless(noNpm, "npm installs the launcher and the binary of this system, and both programs run it"),
  async () => {
    const folder = await Deno.realPath(await Deno.makeTempDir());
    const port = freePort();
    const packages = [
      npmLauncher({ ...common, built: targets }),
      ...targets.map((target) => npmBinary(target, { ...common, binary: PROGRAM })),
    ];
    await Deno.mkdir(join(folder, "registry"));
    for (const { file, bytes } of packages) await Deno.writeFile(join(folder, "registry", file), bytes);
    const script = fromFileUrl(new URL("../fixtures/npm_registry.ts", import.meta.url));
    const registry = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--no-config", "--no-lock", script, join(folder, "registry"), String(port)],
      stdout: "piped",
    }).spawn();
    const reader = registry.stdout.getReader();
    try {
      await reader.read();
      const env = {
        HOME: folder,
        npm_config_registry: `http://127.0.0.1:${port}/`,
        npm_config_cache: join(folder, "c"),
      };
      const installed = await output("npm", [
        "install",
        "--prefix",
        folder,
        "--no-audit",
        "--no-fund",
        "foster-mcp",
      ], {
        env,
      });
      assertEquals(installed.code, 0, installed.stderr);
      for (const name of ["foster", "foster-mcp"]) {
        const ran = await output(join(folder, "node_modules", ".bin", name), ["up", "a b"]);
        assertEquals([ran.code, ran.stdout], [7, "foster 1.2.3 up a b\n"], ran.stderr);
      }
    } finally {
      await reader.cancel();
      registry.kill();
      await registry.status;
      await Deno.remove(folder, { recursive: true });
    }
  },
);

const noVenv = notLinux ?? await missing("python3", ["-m", "venv", "--help"]);
Deno.test(unless(noVenv, "pip installs the wheel of this system, and both programs run it"), async () => {
  const folder = await Deno.makeTempDir();
  const [target] = here;
  assert(target !== undefined);
  const { file, bytes } = wheel(target, { ...common, binary: PROGRAM });
  await Deno.writeFile(join(folder, file), bytes);
  await output("python3", ["-m", "venv", join(folder, "env")]);
  const pip = await output(join(folder, "env", "bin", "pip"), [
    "install",
    "-q",
    "--no-index",
    join(folder, file),
  ]);
  assertEquals(pip.code, 0, pip.stderr);
  for (const name of ["foster", "foster-mcp"]) {
    const ran = await output(join(folder, "env", "bin", name), ["up"]);
    assertEquals([ran.code, ran.stdout], [7, "foster 1.2.3 up\n"], ran.stderr);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("manifests name the archives that were built, with their sums", () => {
  const archives = new Map([
    ["linux-x64.tar.xz", { file: "foster-1.2.3-linux-x64.tar.xz", sha256: "ab" }],
    ["windows-x64.zip", { file: "foster-1.2.3-windows-x64.zip", sha256: "cd" }],
  ]);
  const release = { ...common, base: "https://a.example/v1.2.3", archives };
  const formula = homebrew(release);
  assertMatch(
    formula,
    /url "https:\/\/a\.example\/v1\.2\.3\/foster-1\.2\.3-linux-x64\.tar\.xz"\n +sha256 "ab"/,
  );
  assert(!formula.includes("on_macos"));
  assertEquals(JSON.parse(scoop(release)).architecture["64bit"].hash, "cd");
  assertMatch(winget(release).get("Foster.Foster.installer.yaml") ?? "", /InstallerSha256: CD/);
});

Deno.test("sbom() lists what the program is built from, and not what it is tested with", () => {
  const locked = {
    "a@1.0.0": { integrity: "sha512-AAEC", dependencies: ["@x/b"] },
    "@x/b@2.0.0": { integrity: "sha512-AAEC" },
    "only-tests@3.0.0": {},
  };
  const { packages } = JSON.parse(sbom({ version: "1.2.3", locked, roots: ["a"] }));
  assertEquals(packages.map(({ name }: { name: string }) => name), ["foster-mcp", "@x/b", "a"]);
  assertEquals(packages[1].externalRefs[0].referenceLocator, "pkg:npm/%40x/b@2.0.0");
  assertEquals(packages[1].checksums[0].checksumValue, "000102");
});

Deno.test("withWholeLinks() leads from a page outside of the repository to this version's pages", () => {
  const page = "![A](docs/a.svg) [b](docs/b.md#c) [d](https://d.example) [e](#f) [g][h]";
  const base = "https://a.example/foster";
  assertEquals(
    withWholeLinks(page, common),
    `![A](${base}/raw/v1.2.3/docs/a.svg) [b](${base}/blob/v1.2.3/docs/b.md#c) [d](https://d.example) [e](#f) [g][h]`,
  );
});
