import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join, toFileUrl } from "@std/path";

const script = fromFileUrl(new URL("../../scripts/install.sh", import.meta.url));
const systems: Partial<Record<typeof Deno.build.os, string>> = { linux: "linux", darwin: "macos" };
const ignore = systems[Deno.build.os] === undefined;

const machine = Deno.build.arch === "x86_64" ? "x64" : "arm64";
const plainName = `foster-${systems[Deno.build.os]}-${machine}`;
const program = (version: string) => `#!/bin/sh\necho foster ${version}\n`;

/** A release in a folder and on a loopback server, and a home to install into. */
class Release implements AsyncDisposable {
  readonly home: string;
  readonly files: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(readonly folder: string) {
    this.home = join(folder, "home");
    this.files = join(folder, "files");
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const path = join(this.files, new URL(request.url).pathname);
      const bytes = await Deno.readFile(path).catch(() => null);
      return bytes === null ? new Response("none", { status: 404 }) : new Response(bytes);
    });
  }

  static async create(): Promise<Release> {
    const release = new Release(await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-install-" })));
    await Promise.all([Deno.mkdir(release.home), Deno.mkdir(release.files)]);
    return release;
  }

  get base(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async publish(text: string, checksum?: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const sum = checksum ?? [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const names = [plainName, `${plainName}-musl`];
    for (const name of names) await Deno.writeFile(join(this.files, name), bytes);
    const sums = ["foster-other-x64", ...names].map((name) => `${sum}  ${name}\n`).join("");
    await Deno.writeTextFile(join(this.files, "SHA256SUMS"), sums);
  }

  async install(env: Record<string, string> = {}): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: [script],
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "", HOME: this.home, FOSTER_DOWNLOAD_BASE: this.base, ...env },
      stdin: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  }

  /** What is in the folder that it installs into. */
  async installed(folder = join(this.home, ".local", "bin")): Promise<string[]> {
    return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test({
  name: "install.sh puts a verified binary into ~/.local/bin and says so",
  ignore,
  async fn() {
    await using release = await Release.create();
    await release.publish(program("1.2.3"));
    const { code, stdout, stderr } = await release.install();
    const path = join(release.home, ".local", "bin", "foster");
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, new RegExp(`^foster 1\\.2\\.3 is installed as ${path}\n  add it to your PATH: `));
    assertEquals(await release.installed(), ["foster"]);
    const ran = await new Deno.Command(path).output();
    assertEquals(new TextDecoder().decode(ran.stdout), "foster 1.2.3\n");
  },
});

Deno.test({
  name: "install.sh replaces an earlier foster, into the folder that FOSTER_INSTALL names",
  ignore,
  async fn() {
    await using release = await Release.create();
    const folder = join(release.folder, "own folder");
    const env = { FOSTER_INSTALL: folder, PATH: `${Deno.env.get("PATH")}:${folder}` };
    await release.publish(program("1.0.0"));
    assertEquals((await release.install(env)).code, 0);
    await release.publish(program("2.0.0"));
    const { code, stdout } = await release.install(env);
    assertEquals([code, stdout], [0, `foster 2.0.0 is installed as ${folder}/foster\n`]);
    assertEquals(await release.installed(folder), ["foster"]);
    assertEquals(await release.installed(), []);
  },
});

Deno.test({
  name: "install.sh takes a release from a folder",
  ignore,
  async fn() {
    await using release = await Release.create();
    await release.publish(program("1.2.3"));
    const { code } = await release.install({ FOSTER_DOWNLOAD_BASE: toFileUrl(release.files).href });
    assertEquals([code, await release.installed()], [0, ["foster"]]);
  },
});

const libcs: { what: string; getconf: string; ldd: string; libc: "" | "-musl" }[] = [
  { what: "glibc where getconf knows its version", getconf: "echo glibc 2.36", ldd: "exit 127", libc: "" },
  {
    what: "glibc on a system of glibc with musl's ldd beside it",
    getconf: "echo glibc 2.36",
    ldd: "echo 'musl libc (x86_64)' >&2; exit 1",
    libc: "",
  },
  {
    what: "musl on a system of musl, also with a loader for programs of glibc",
    getconf: "exit 1",
    ldd: "echo 'musl libc (x86_64)' >&2; exit 1",
    libc: "-musl",
  },
];
for (const { what, getconf, ldd, libc } of libcs) {
  Deno.test({
    name: `install.sh takes the binary for ${what}`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      await using release = await Release.create();
      await release.publish(program("1.2.3"));
      const other = libc === "" ? `${plainName}-musl` : plainName;
      await Deno.remove(join(release.files, other));
      const tools = join(release.folder, "tools");
      await Deno.mkdir(tools);
      for (const [name, body] of Object.entries({ getconf, ldd })) {
        await Deno.writeTextFile(join(tools, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
      }
      const { code, stderr } = await release.install({ PATH: `${tools}:${Deno.env.get("PATH")}` });
      assertEquals([code, stderr], [0, ""]);
    },
  });
}

Deno.test({
  name: "install.sh says what a binary for musl needs where it does not run",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using release = await Release.create();
    await release.publish("#!/bin/sh\nexit 127\n");
    const tools = join(release.folder, "tools");
    await Deno.mkdir(tools);
    await Deno.writeTextFile(join(tools, "getconf"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    await Deno.writeTextFile(join(tools, "ldd"), "#!/bin/sh\necho musl\n", { mode: 0o755 });
    const { code, stderr } = await release.install({ PATH: `${tools}:${Deno.env.get("PATH")}` });
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /-musl does not run on this system: nothing was installed\n {2}.*apk add libstdc\+\+/,
    );
  },
});

const refusals: {
  what: string;
  prepare(release: Release): Promise<void>;
  env?: Record<string, string>;
  says: RegExp;
}[] = [
  {
    what: "the checksum is another",
    prepare: (release) => release.publish(program("6.6.6"), "0".repeat(64)),
    says: /the checksum of foster-\S+ is [0-9a-f]{64}, not 0{64}: nothing was installed/,
  },
  {
    what: "the release has no binary for this system",
    prepare: (release) => Deno.writeTextFile(join(release.files, "SHA256SUMS"), `${"0".repeat(64)}  other\n`),
    says: /SHA256SUMS has no foster-/,
  },
  {
    what: "there is nothing at the address",
    prepare: () => Promise.resolve(),
    says: /SHA256SUMS could not be downloaded/,
  },
  {
    what: "the binary does not run here",
    prepare: (release) => release.publish("#!/bin/sh\nexit 1\n"),
    says: /does not run on this system: nothing was installed/,
  },
  {
    what: "the address is neither safe nor this machine",
    prepare: () => Promise.resolve(),
    env: { FOSTER_DOWNLOAD_BASE: "http://example.com/foster" },
    says: /neither https, file nor this machine/,
  },
  {
    what: "no address is known",
    prepare: () => Promise.resolve(),
    env: { FOSTER_DOWNLOAD_BASE: "" },
    says: /set FOSTER_DOWNLOAD_BASE/,
  },
];

for (const { what, prepare, env, says } of refusals) {
  Deno.test({
    name: `install.sh installs nothing and leaves an earlier foster alone when ${what}`,
    ignore,
    async fn() {
      await using release = await Release.create();
      const folder = join(release.home, ".local", "bin");
      await Deno.mkdir(folder, { recursive: true });
      await Deno.writeTextFile(join(folder, "foster"), "earlier");
      await prepare(release);
      const { code, stderr } = await release.install(env);
      assertEquals(code, 1);
      assertMatch(stderr, says);
      assertEquals(await release.installed(), ["foster"]);
      assertEquals(await Deno.readTextFile(join(folder, "foster")), "earlier");
    },
  });
}

Deno.test("install.ps1 names the file and the checksums that are published", async () => {
  const text = await Deno.readTextFile(script.replace(/\.sh$/, ".ps1"));
  assert(text.includes("'foster-windows-x64.exe'") && text.includes("$base/SHA256SUMS"));
});
