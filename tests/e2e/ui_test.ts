/** `foster ui`, and what the gateway answers its page. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { findSupervisor } from "../../src/supervisor/control_client.ts";
import { fromFileUrl, join } from "@std/path";
import { missing, unless } from "../skip.ts";
import { binary, Foster, isAlive, type Row, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

const MAIN = fromFileUrl(new URL("../../main.ts", import.meta.url));
const noTerminal = Deno.build.os === "linux"
  ? await missing("python3", ["-c", "import pty"])
  : "it has no xdg-open";
/** Runs a command on a terminal of its own. */
const ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

interface Opened {
  url: string;
  opened: boolean;
  supervisor: { pid: number; endpoint: string; version: string };
}

interface Message {
  type: string;
  servers: (Row & { supervised: boolean })[];
  samples: unknown[];
  events: { key: string; at: string; event: string }[];
}

/** The page's side without a browser. */
class PageClient {
  readonly endpoint: string;
  readonly token: string;

  constructor({ url }: Opened) {
    const [endpoint = "", token = ""] = url.split("/#token=");
    this.endpoint = endpoint;
    this.token = token;
  }

  ask(path: string, init: RequestInit = {}, token = this.token): Promise<Response> {
    return fetch(`${this.endpoint}/ui/${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...init.headers },
    });
  }

  async act(key: string, action: string): Promise<{ ok: boolean; exit_code: number; server: Row }> {
    const response = await this.ask(`servers/${key}/${action}`, { method: "POST" });
    assertEquals(response.status, 200);
    return await response.json();
  }

  /** The first message of a stream. */
  async first<T>(path: string): Promise<T> {
    for await (const message of this.messages<T>(path)) return message;
    throw new Error("the stream ended at once");
  }

  async *messages<T>(path: string): AsyncGenerator<T> {
    const response = await this.ask(path);
    assertEquals(response.status, 200, path);
    let rest = "";
    const body = response.body as ReadableStream<Uint8Array>;
    for await (const text of body.pipeThrough(new TextDecoderStream() as never) as ReadableStream<string>) {
      const parts = (rest + text).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) yield JSON.parse(part.replace(/^data: /, ""));
    }
  }
}

async function open(foster: Foster): Promise<{ opened: Opened; page: PageClient }> {
  const opened = (await foster.expect(0, ["ui", "--json"])).json<Opened>();
  return { opened, page: new PageClient(opened) };
}

Deno.test("ui starts the supervisor, prints one address, and the page needs no token and has no secret", async () => {
  await using foster = await Foster.create();
  const { opened, page } = await open(foster);
  assertMatch(opened.url, /^http:\/\/127\.0\.0\.1:\d+\/#token=[0-9a-f]{64}$/);
  assertEquals([opened.opened, opened.supervisor.endpoint], [false, page.endpoint]);
  assertEquals((await foster.expect(0, ["ui", "--no-open"])).stdout, `${opened.url}\n`);
  const response = await fetch(`${page.endpoint}/`);
  const html = await response.text();
  assertMatch(response.headers.get("content-type") ?? "", /^text\/html/);
  assertMatch(
    response.headers.get("content-security-policy") ?? "",
    /^default-src 'none'; script-src 'sha256-/,
  );
  assert(!html.includes(page.token), "the page holds no token");
  const gateway = (await Deno.readTextFile(`${foster.stateDir}/gateway.token`)).trim();
  const control = (await Deno.readTextFile(`${foster.stateDir}/control.token`)).trim();
  assert(!html.includes(gateway) && ![gateway, control].includes(page.token));
  assertEquals(
    await (await fetch(`${page.endpoint}/healthz`)).text(),
    `foster ${opened.supervisor.version}\n`,
  );
  // A page that is opened later finds it, also without a server.
  assertEquals((await page.first<Message>("watch")).type, "whole");
  await foster.expect(0, ["serve", "--stop"]);
});

Deno.test("what the page asks wants the page's token, from the gateway's own page", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: tiny("auto") });
  const up = (await foster.expect(0, ["up", "docs", "--supervise", "--json"])).row();
  const { page } = await open(foster);
  const gateway = (await Deno.readTextFile(`${foster.stateDir}/gateway.token`)).trim();
  const stop = `servers/${up.key}/stop`;
  for (const token of ["", "wrong", "0".repeat(64), gateway]) {
    const response = await page.ask(stop, { method: "POST" }, token);
    assertEquals(response.status, 401, `the token ${token.slice(0, 5)}`);
    assertMatch((await response.json()).message, /foster ui/);
  }
  assertEquals((await page.ask(`watch?token=${page.token}`, {}, "")).status, 401);
  const foreign = { origin: "http://localhost:5173" };
  assertEquals((await page.ask(stop, { method: "POST", headers: foreign })).status, 403);
  const crossSite = { "sec-fetch-site": "cross-site" };
  assertEquals((await page.ask(stop, { method: "POST", headers: crossSite })).status, 403);
  assertEquals((await page.ask(stop)).status, 405);
  assertEquals((await page.ask("servers/nothing/stop", { method: "POST" })).status, 404);
  assert(await isAlive(up.pid));
});

Deno.test("a one-time code is taken once", async () => {
  await using foster = await Foster.create();
  const { page } = await open(foster);
  const found = await findSupervisor(await createDenoHost(), foster.stateDir);
  assert(found.kind === "live");
  const { code, token } = await found.control.page();
  assertEquals(token, page.token);
  const taken = await page.ask("token", { method: "POST" }, code);
  assertEquals([taken.status, (await taken.json()).token], [200, page.token]);
  assertEquals((await page.ask("token", { method: "POST" }, code)).status, 401);
  assertEquals((await page.ask("token", { method: "POST" }, "")).status, 401);
  await foster.expect(0, ["serve", "--stop"]);
});

Deno.test("start, stop and restart do and say what the verbs do and say", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: tiny("auto"), broken: tiny("auto", { options: ["--exit=3"] }) });
  const up = (await foster.expect(0, ["up", "docs", "--json"])).row();
  await foster.expect(0, ["serve", "--detach", "--json"]);
  const { page } = await open(foster);
  const shown = await page.first<Message>("watch");
  const broken = shown.servers.find(({ name }) => name === "broken")?.key ?? "";
  const restarted = await page.act(up.key, "restart");
  assertEquals([restarted.ok, restarted.server.state, restarted.server.message], [
    true,
    "ready",
    "restarted",
  ]);
  assertNotEquals(restarted.server.pid, up.pid);
  const stopped = await page.act(up.key, "stop");
  assertEquals([stopped.ok, stopped.server.state], [true, "stopped"]);
  assertEquals((await page.act(up.key, "stop")).server.message, "it was not running");
  const started = await page.act(up.key, "start");
  assertEquals([started.ok, started.server.state], [true, "ready"]);
  assertEquals((await foster.expect(0, ["status", "docs", "--json"])).row().pid, started.server.pid);
  const failed = await page.act(broken, "start");
  const verb = (await foster.expect(10, ["up", "broken", "--json"])).row();
  assertEquals([failed.ok, failed.exit_code, failed.server.state], [false, 10, verb.state]);
  assertMatch(failed.server.message, /exit code 3/);
  assertMatch(verb.message, /exit code 3/);
  assertEquals(failed.server.hint, verb.hint);
});

Deno.test("a page that stops a server that foster did not start is refused as down is", async () => {
  await using foster = await Foster.create();
  const port = 19_000 + Math.floor(Math.random() * 900);
  const outside = foster.startProgram(
    "deno",
    (tiny(port).args as string[]).map((arg) => arg.replace("${port}", String(port))),
  );
  await outside.stdoutLine(/listening/);
  await foster.define({ docs: tiny(port, { identity: { name: "tiny" } }) });
  await foster.expect(0, ["serve", "--detach", "--json"]);
  const { page } = await open(foster);
  const { servers } = await page.first<Message>("watch");
  const key = servers.find(({ name }) => name === "docs")?.key ?? "";
  const stopped = await page.act(key, "stop");
  const verb = (await foster.expect(16, ["down", "docs", "--json"])).row();
  assertEquals([stopped.ok, stopped.exit_code, stopped.server.message], [false, 16, verb.message]);
  const restarted = await page.act(key, "restart");
  assertEquals([restarted.ok, restarted.exit_code], [false, 16]);
  assert(await isAlive(outside.pid));
});

Deno.test("a server that is restarted from the page keeps the environment of the shell that brought it up", async () => {
  await using foster = await Foster.create();
  const file = join(foster.folder, "environment.json");
  await foster.define({ docs: tiny("auto", { options: [`--environment-file=${file}`] }) });
  const environment = async () => JSON.parse(await Deno.readTextFile(file)).env.OF_THE_SHELL;
  await foster.expect(0, ["serve", "--detach"]);
  const { page } = await open(foster);
  for (const args of [["up", "docs"], ["up", "docs", "--supervise"]]) {
    const up = (await foster.expect(0, [...args, "--json"], { env: { OF_THE_SHELL: args.join(" ") } })).row();
    await page.first<Message>("watch");
    assertEquals(await environment(), args.join(" "));
    await Deno.remove(file);
    assertEquals((await page.act(up.key, "restart")).ok, true);
    assertEquals(await environment(), args.join(" "));
    await foster.expect(0, ["down", "docs"]);
  }
});

Deno.test(
  unless(noTerminal, "on a desktop the browser gets a code that is good once, and the terminal the address"),
  async () => {
    await using foster = await Foster.create();
    const given = join(foster.folder, "given");
    const opener = join(foster.home, "xdg-open");
    await Deno.writeTextFile(opener, `#!/bin/sh\necho "$1" > '${given}'\n`, { mode: 0o755 });
    const command = binary === null ? [Deno.execPath(), "run", "-A", "-q", MAIN] : [binary];
    const running = foster.startProgram("python3", ["-c", ON_A_TERMINAL, ...command, "ui"], {
      env: { DISPLAY: ":0", PATH: `${foster.home}:${Deno.env.get("PATH")}` },
    });
    const shown = await running.stdoutLine(/#token=/);
    await running.stdoutLine(/open in the browser/);
    const address = (await Deno.readTextFile(given)).trim();
    assertMatch(address, /^http:\/\/127\.0\.0\.1:\d+\/#code=[0-9a-f]{32}$/);
    const page = new PageClient({
      url: shown.trim(),
      opened: true,
      supervisor: { pid: 0, endpoint: "", version: "" },
    });
    const taken = await page.ask("token", { method: "POST" }, address.split("#code=")[1]);
    assertEquals((await taken.json()).token, page.token);
    await foster.expect(0, ["serve", "--stop"]);
  },
);

Deno.test("every open page is told of what happens, whichever opened last", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: tiny("auto") });
  const up = (await foster.expect(0, ["up", "docs", "--supervise", "--json"])).row();
  const { page } = await open(foster);
  const first = page.messages<Message>("watch");
  assertEquals((await first.next()).value?.type, "whole");
  Deno.kill(up.pid, "SIGKILL");
  // A page that opens looks at the events, too.
  const others = await Promise.all([1, 2, 3].map(() => page.first<Message>("watch")));
  assertEquals(others.map(({ type }) => type), ["whole", "whole", "whole"]);
  const told: string[] = [];
  const isTold = (name: string) => told.some((each) => each.endsWith(` ${name}`));
  for await (const { events } of first) {
    told.push(...events.map(({ at, event }) => `${at} ${event}`));
    if (isTold("crashed") && isTold("ready")) break;
  }
  assertEquals(new Set(told).size, told.length, "nothing is told twice");
});

Deno.test("watching pages and open logs have a bound, and end with their page", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: tiny("auto", { options: ["--say=hello|\u001b[31mred\u001b[0m"] }) });
  const up = (await foster.expect(0, ["up", "docs", "--supervise", "--json"])).row();
  const { page } = await open(foster);
  const ending = new AbortController();
  const watch = () => page.ask("watch", { signal: ending.signal });
  const log = () => page.ask(`servers/${up.key}/logs`, { signal: ending.signal });
  const opened = [];
  for (let n = 0; n < 16; n++) opened.push(await watch());
  assertEquals(opened.map(({ status }) => status), Array(16).fill(200));
  assertEquals((await watch()).status, 503);
  const logs = [];
  for (let n = 0; n < 32; n++) logs.push(await log());
  assertEquals(logs.every(({ status }) => status === 200), true);
  assertEquals((await log()).status, 503);
  ending.abort();
  await until("room for another page", async () => {
    const response = await page.ask("watch");
    await response.body?.cancel();
    return response.status === 200;
  });
  await until("room for another log", async () => {
    const response = await page.ask(`servers/${up.key}/logs`);
    await response.body?.cancel();
    return response.status === 200;
  });
  const { lines } = await page.first<{ lines: string[] }>(`servers/${up.key}/logs`);
  assertEquals(lines.slice(0, 2), ["hello", "red"]);
});
