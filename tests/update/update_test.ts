import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { sha256Hex } from "../../src/base/hash.ts";
import { lifeOf, ownerOf } from "../../src/update/owner.ts";
import { checkedBase, mayFollow, readRelease, ReleaseError, sumsIn } from "../../src/update/release.ts";
import { binaryName, decide, isNewer, update, type UpdateResult } from "../../src/update/update.ts";
import { VERSION } from "../../src/version.ts";
import { notLinux, unless } from "../skip.ts";

const host = await createDenoHost();
const NEWER = "99.0.0";
const name = await binaryName(host);
const program = (version: string) => `#!/bin/sh\necho "foster ${version}"\n`;

type Answer = string | ((request: Request) => Response);

/** A release on a loopback server, and a program to be replaced. */
class Stage implements AsyncDisposable {
  readonly program: string;
  readonly answers = new Map<string, Answer>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(readonly folder: string) {
    this.program = join(folder, "bin", "foster");
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const answer = this.answers.get(new URL(request.url).pathname.slice(1));
      if (answer === undefined) return new Response("none", { status: 404 });
      if (typeof answer === "function") return answer(request);
      return new Response(answer, { headers: { "content-type": "application/octet-stream" } });
    });
  }

  static async create(version: string | null = NEWER): Promise<Stage> {
    const stage = new Stage(await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-update-" })));
    await Deno.mkdir(join(stage.folder, "bin"));
    await Deno.writeTextFile(stage.program, program(VERSION));
    await Deno.chmod(stage.program, 0o711);
    stage.publish(program(version ?? NEWER), { version });
    return stage;
  }

  publish(text: string, { version, sum = sha256Hex(text) }: { version: string | null; sum?: string }): void {
    this.answers.set(name, text);
    const versions = version === null ? "" : `${sha256Hex(`${version}\n`)}  VERSION\n`;
    if (version !== null) this.answers.set("VERSION", `${version}\n`);
    this.answers.set("SHA256SUMS", `${"0".repeat(64)}  foster-other\n${sum}  ${name}\n${versions}`);
  }

  get base(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async update(isNamed = false): Promise<UpdateResult> {
    const signal = AbortSignal.timeout(20_000);
    const release = await readRelease(host, this.base, signal);
    return await update(host, { program: this.program, release, isNamed, signal, onProgress() {} });
  }

  /** Nothing was changed, and nothing lies beside it. */
  async assertUntouched(): Promise<void> {
    assertEquals(await Deno.readTextFile(this.program), program(VERSION));
    assertEquals(await Array.fromAsync(Deno.readDir(join(this.folder, "bin")), ({ name }) => name), [
      "foster",
    ]);
  }

  async assertFails(says: RegExp): Promise<void> {
    const error = await assertRejects(() => this.update(), ReleaseError) as unknown as Error;
    assertMatch(error.message, says);
    await this.assertUntouched();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.chmod(join(this.folder, "bin"), 0o755);
    await Deno.remove(this.folder, { recursive: true });
  }
}

const test = (title: string, run: () => Promise<void>) => Deno.test(unless(notLinux, title), run);

test("update() replaces the program in one step and keeps its mode", async () => {
  await using stage = await Stage.create();
  assertEquals(await stage.update(), { kind: "updated", from: VERSION, to: NEWER, path: stage.program });
  assertEquals(await Deno.readTextFile(stage.program), program(NEWER));
  assertEquals((await Deno.stat(stage.program)).mode! & 0o777, 0o711);
  assertEquals(await Array.fromAsync(Deno.readDir(join(stage.folder, "bin")), ({ name }) => name), [
    "foster",
  ]);
});

test("update() finds the version out by itself where the release does not say it", async () => {
  await using stage = await Stage.create(null);
  assertEquals((await stage.update()).kind, "updated");
  stage.publish(program(NEWER), { version: null });
  assertEquals((await stage.update()).kind, "current");
});

test("update() downloads nothing of the same version, and no earlier one unless it was named", async () => {
  await using stage = await Stage.create(VERSION);
  stage.answers.delete(name);
  assertEquals((await stage.update()).kind, "current");
  stage.publish(program("0.0.1"), { version: "0.0.1" });
  assertEquals(await stage.update(), { kind: "older", version: "0.0.1" });
  stage.publish(program("0.0.1"), { version: null });
  assertEquals(await stage.update(), { kind: "older", version: "0.0.1" });
  await stage.assertUntouched();
  assertEquals((await stage.update(true)).kind, "updated");
});

const bytes = new TextEncoder().encode(program(NEWER));
const typed = (type: string) => () => new Response(bytes, { headers: { "content-type": type } });

/** What a release may be wrong in, by the file that is. */
const WRONG: readonly [title: string, change: (stage: Stage) => void, says: RegExp][] = [
  [
    "has another sum",
    (stage) => stage.publish(program(NEWER), { version: NEWER, sum: "1".repeat(64) }),
    /checksum/,
  ],
  [
    "ends too early",
    (stage) =>
      stage.answers.set(name, () =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(bytes.slice(0, 5));
              controller.error(new Error("broken"));
            },
          }),
          { headers: { "content-length": String(bytes.length) } },
        )),
    /broke off before its end|can't be reached/,
  ],
  ["is a page", (stage) => stage.answers.set(name, typed("text/html; charset=utf-8")), /text\/html/],
  ["has a page for its sums", (stage) => stage.answers.set("SHA256SUMS", typed("text/html")), /text\/html/],
  [
    "leads to another origin",
    (stage) => stage.answers.set(name, () => Response.redirect("http://127.0.0.1:1/foster")),
    /leads to http:\/\/127\.0\.0\.1:1/,
  ],
  [
    "leads in circles",
    (stage) => stage.answers.set(name, () => Response.redirect(`${stage.base}/${name}`)),
    /on and on/,
  ],
  ["is not there", (stage) => stage.answers.delete("SHA256SUMS"), /SHA256SUMS is not there/],
  [
    "has no program for this system",
    (stage) => stage.answers.set("SHA256SUMS", `${"0".repeat(64)}  x\n`),
    /has no foster/,
  ],
  [
    "is not well",
    (stage) => stage.answers.set(name, () => new Response("", { status: 503 })),
    /answered with 503/,
  ],
  [
    "does not run here",
    (stage) => stage.publish("#!/bin/sh\nexit 3\n", { version: NEWER }),
    /does not run here/,
  ],
  [
    "is another version than it says",
    (stage) => stage.publish(program("98.0.0"), { version: NEWER }),
    /is 98\.0\.0/,
  ],
  [
    "lies about its version's sum",
    (stage) => stage.answers.set("VERSION", "100.0.0\n"),
    /checksum of .*VERSION/,
  ],
];

for (const [title, change, says] of WRONG) {
  test(`update() changes nothing where the release ${title}`, async () => {
    await using stage = await Stage.create();
    change(stage);
    await stage.assertFails(says);
  });
}

test("update() follows where the same origin leads", async () => {
  await using stage = await Stage.create();
  stage.answers.set("elsewhere", program(NEWER));
  stage.answers.set(name, () => Response.redirect(`${stage.base}/elsewhere`));
  assertEquals((await stage.update()).kind, "updated");
});

test("readRelease() says so where nobody answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const error = await assertRejects(
    () => readRelease(host, `http://127.0.0.1:${port}`, AbortSignal.timeout(20_000)),
    ReleaseError,
  ) as unknown as Error;
  assertMatch(error.message, /can't be reached/);
});

const isRoot = notLinux ?? (Deno.uid() === 0 ? "root writes everywhere" : null);
Deno.test(unless(isRoot, "update() says who may write where the folder is read-only"), async () => {
  await using stage = await Stage.create();
  await Deno.chmod(join(stage.folder, "bin"), 0o555);
  await stage.assertFails(/can't be written/);
});

test("update() says so where nothing can be written beside the program", async () => {
  await using stage = await Stage.create();
  const release = await readRelease(host, stage.base, AbortSignal.timeout(20_000));
  // No user may write there, root neither.
  const options = { release, isNamed: false, signal: AbortSignal.timeout(20_000), onProgress() {} };
  const error = await assertRejects(
    () => update(host, { ...options, program: "/proc/self/foster" }),
    ReleaseError,
  ) as unknown as Error;
  assertMatch(error.message, /\/proc\/self can't be written/);
});

Deno.test("decide() never goes back unless it was told to", () => {
  const present = "1.2.0";
  assertEquals(decide("1.2.1", { isNamed: false, present }), null);
  assertEquals(decide("1.2.0", { isNamed: false, present })?.kind, "current");
  assertEquals(decide("1.1.9", { isNamed: false, present })?.kind, "older");
  assertEquals(decide("1.1.9", { isNamed: true, present }), null);
  assertEquals(decide("what", { isNamed: false, present })?.kind, "older");
});

Deno.test("isNewer() knows versions before a release", () => {
  assertEquals([isNewer("1.0.0", "1.0.0-rc.1"), isNewer("1.0.0-rc.1", "1.0.0")], [true, false]);
  assertEquals([isNewer("1.0.0-rc.2", "1.0.0-rc.1"), isNewer("0.10.0", "0.9.0")], [true, true]);
});

Deno.test("mayFollow() lets a repository's host send to where it keeps its files, and nobody anywhere else", () => {
  const from = new URL("https://github.com/o/r/releases/latest/download/foster");
  const cases: [string, boolean][] = [
    ["https://github.com/o/r/releases/download/v1/foster", true],
    ["https://release-assets.githubusercontent.com/x", true],
    ["http://release-assets.githubusercontent.com/x", false],
    ["https://release-assets.githubusercontent.com.evil.example/x", false],
    ["https://evil.example/x", false],
  ];
  for (const [to, expected] of cases) assertEquals(mayFollow(from, new URL(to)), expected, to);
});

Deno.test("checkedBase() takes https and this machine", () => {
  assertEquals(checkedBase("https://a.example/x/"), "https://a.example/x");
  for (const bad of ["http://a.example/x", "ftp://a.example", "nothing"]) {
    let failed = false;
    try {
      checkedBase(bad);
    } catch (error) {
      failed = error instanceof ReleaseError;
    }
    assertEquals(failed, true, bad);
  }
});

Deno.test("sumsIn() reads both forms of sha256sum, and nothing else", () => {
  const sum = "a".repeat(64);
  assertEquals([...sumsIn(`${sum}  one\r\n${sum} *two\nnothing\n${sum}  with blank\n`).keys()], [
    "one",
    "two",
  ]);
});

const OWNED: readonly [path: string, manager: string | null, command?: string][] = [
  ["/home/me/.local/bin/foster", null],
  ["/usr/local/bin/foster", null],
  [
    "/usr/lib/node_modules/foster-mcp/node_modules/foster-mcp-linux-x64/foster",
    "npm",
    "npm install --global foster-mcp@latest",
  ],
  ["/home/me/.npm/_npx/0a1b/node_modules/foster-mcp-linux-x64/foster", "npm", "npx -y foster-mcp@latest"],
  ["/home/me/project/node_modules/foster-mcp-linux-x64/foster", "npm", "npm install foster-mcp@latest"],
  [
    "/home/me/.local/share/pnpm/global/5/node_modules/.pnpm/x/node_modules/foster-mcp-linux-x64/foster",
    "pnpm",
  ],
  [
    "/home/me/.cache/pnpm/dlx/ab/node_modules/foster-mcp-linux-x64/foster",
    "pnpm",
    "pnpm dlx foster-mcp@latest",
  ],
  ["/home/me/.bun/install/global/node_modules/foster-mcp-linux-x64/foster", "bun"],
  ["/tmp/bunx-0-foster-mcp@latest/node_modules/foster-mcp-linux-x64/foster", "bun", "bunx foster-mcp@latest"],
  [
    "/home/me/.bun/install/cache/.bunx-0/foster-mcp@latest/node_modules/foster-mcp-linux-x64/foster",
    "bun",
    "bunx foster-mcp@latest",
  ],
  [
    "/home/me/.local/share/uv/tools/foster-mcp/lib/python3.12/site-packages/foster_mcp/foster",
    "uv",
    "uv tool upgrade foster-mcp",
  ],
  [
    "/home/me/.cache/uv/archive-v0/x/lib/python3.12/site-packages/foster_mcp/foster",
    "uv",
    "uvx foster-mcp@latest",
  ],
  ["/home/me/.local/share/pipx/venvs/foster-mcp/lib/python3.12/site-packages/foster_mcp/foster", "pipx"],
  ["/home/me/venv/lib/python3.12/site-packages/foster_mcp/foster", "pip"],
  ["/opt/homebrew/Cellar/foster-mcp/0.2.0/bin/foster", "brew", "brew upgrade foster-mcp"],
  ["/home/linuxbrew/.linuxbrew/Cellar/foster-mcp/0.2.0/bin/foster", "brew"],
  ["C:\\Users\\me\\AppData\\Local\\Microsoft\\WinGet\\Packages\\Foster.Foster_x\\foster.exe", "winget"],
  ["C:\\Users\\me\\scoop\\apps\\foster-mcp\\current\\foster.exe", "scoop", "scoop update foster-mcp"],
  ["/home/me/.local/share/mise/installs/foster/0.2.0/foster", "mise"],
];

for (const [path, manager, command] of OWNED) {
  Deno.test(`ownerOf() says ${manager ?? "nobody"} of ${path}`, () => {
    assertEquals(ownerOf(path)?.manager ?? null, manager);
    if (command !== undefined) assertEquals(ownerOf(path)?.command, command);
  });
}

const LIVES: readonly [path: string, life: ReturnType<typeof lifeOf>][] = [
  ["/home/me/.local/bin/foster", "lasting"],
  ["/home/me/tools/foster-VERSION/foster", "lasting"],
  ["/usr/lib/node_modules/foster-mcp/node_modules/foster-mcp-linux-x64/foster", "lasting"],
  ["/home/me/venv/lib/python3.12/site-packages/foster_mcp/foster", "lasting"],
  ["/home/me/.npm/_npx/2990f5/node_modules/foster-mcp-linux-x64/foster", "cached"],
  ["/home/me/.cache/uv/archive-v0/x/lib/python3.12/site-packages/foster_mcp/foster", "cached"],
  [
    "/home/me/.cache/pnpm/dlx-1/node_modules/.pnpm/foster-mcp-linux-x64@VERSION/node_modules/x/foster",
    "cached",
  ],
  ["/tmp/bunx-0-foster-mcp@latest/node_modules/foster-mcp-linux-x64/foster", "cached"],
  ["/opt/homebrew/Cellar/foster-mcp/VERSION/bin/foster", "versioned"],
  [
    "/home/me/.local/share/pnpm/global/5/.pnpm/foster-mcp-linux-x64@VERSION/node_modules/foster-mcp-linux-x64/foster",
    "versioned",
  ],
];

for (const [path, life] of LIVES) {
  Deno.test(`lifeOf() says ${life} of ${path}`, () => {
    assertEquals(lifeOf(path.replace("VERSION", VERSION)), life);
  });
}
