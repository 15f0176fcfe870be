/**
 * A state folder in which any file may be a link, a pipe, a folder, garbage, a gigabyte or somebody else's: no verb hangs,
 * follows it, signals for it or breaks.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { NAME, served } from "../fixtures/wk_support.ts";
import { ForeignProcess } from "../fixtures/wk_support.ts";
import { notLinux, unless } from "../skip.ts";
import { binary, Foster, freePort } from "./harness.ts";

/** What each verb is given to read. `KEY`: the folder of the server that runs. */
const files = [
  "id",
  "ports.json",
  "ports.lock",
  "enrolled.json",
  "supervisor.json",
  "supervisor.lock",
  "supervisor.start.lock",
  "supervisor.log",
  "gateway.token",
  "control.token",
  "attached",
  "sessions",
  "processes",
  "processes/700.json",
  "servers/KEY/record.json",
  "servers/KEY/server.pid",
  "servers/KEY/server.log",
  "servers/KEY/server.log.1",
  "servers/KEY/crash.log",
  "servers/KEY/events.ndjson",
  "servers/KEY/lock",
  "servers/KEY/leases",
  "servers/KEY/leases/700.json",
  "servers/KEY/copies",
  "servers/KEY/copies/0123456789abcdef.json",
  "servers/KEY/launch.json",
  "servers/KEY/stop.request",
  "servers/KEY/discovery.json",
];

const GIGABYTE = 2 ** 30;

interface Kind {
  name: string;
  /** Puts it at the path, which is free. `canary` is a file of somebody else's interest. */
  plant(path: string, canary: string): Promise<void>;
}

const kinds: readonly Kind[] = [
  { name: "a link", plant: (path, canary) => Deno.symlink(canary, path) },
  {
    name: "a pipe",
    plant: async (path) => {
      const made = await new Deno.Command("mkfifo", { args: [path] }).output();
      assert(made.success);
    },
  },
  { name: "a folder", plant: (path) => Deno.mkdir(join(path, "inner"), { recursive: true }) },
  {
    name: "a gigabyte",
    plant: async (path) => {
      await Deno.writeTextFile(path, "", { mode: 0o600 });
      await Deno.truncate(path, GIGABYTE);
    },
  },
  {
    name: "garbage",
    plant: (path) => Deno.writeFile(path, crypto.getRandomValues(new Uint8Array(5000)), { mode: 0o600 }),
  },
  {
    name: "somebody else's",
    plant: async (path) => {
      await Deno.writeTextFile(path, "{}\n", { mode: 0o600 });
      await Deno.chown(path, 12345, 12345);
    },
  },
];

const verbs: readonly (readonly string[])[] = [
  ["ps"],
  ["status", NAME],
  ["doctor"],
  ["logs", NAME],
  ["logs", NAME, "--events"],
  ["logs", NAME, "--crash"],
  ["top", "--once"],
  ["probe", NAME],
  ["up", NAME],
  ["up", NAME, "--supervise"],
  ["serve", "--detach"],
  ["restart", NAME],
  ["recover", NAME],
  ["handoff", NAME, "--up"],
  ["down", NAME],
  ["connect", NAME],
  ["detach", "--yes"],
  ["up", "--all", "--no-wait"],
  ["down", "--all"],
  ["serve", "--stop"],
];

/** The whole table takes a quarter of an hour: without this variable each file has one kind, and a part of the verbs. */
const isWhole = Deno.env.get("FOSTER_CHAOS_HOSTILE") !== undefined;
/** From source each verb takes many times as long. */
const every = isWhole ? 1 : binary === null ? 8 : 3;
const LIMIT_MS = 20_000;
const isRoot = Deno.uid() === 0;

for (const [index, file] of files.entries()) {
  const own = isWhole ? kinds : [kinds[index % kinds.length] as Kind];
  for (const kind of own) {
    const why = notLinux ?? (kind.name === "somebody else's" && !isRoot ? "needs root" : null);
    Deno.test(unless(why, `no verb hangs, follows or breaks where ${file} is ${kind.name}`), async () => {
      await using foster = await Foster.create();
      await foster.define({
        [NAME]: served(freePort(), { restart: { interval: "200ms", backoff: "50ms" } }),
      });
      const bystander = await ForeignProcess.server(foster, freePort());
      const canary = join(foster.folder, "canary");
      await Deno.writeTextFile(canary, "somebody else's text\n", { mode: 0o600 });
      const before = await stamp(canary);
      const { key } = (await foster.expect(0, ["up", NAME, "--json"])).row();
      const path = join(foster.stateDir, file.replace("KEY", key));
      const chosen = verbs.filter((_, at) => at % every === index % every);
      for (const verb of chosen) {
        const what = `${verb.join(" ")} with ${file} as ${kind.name}`;
        await Deno.mkdir(join(path, ".."), { recursive: true }).catch(() => {});
        await Deno.remove(path, { recursive: true }).catch(() => {});
        await kind.plant(path, canary);
        const { code, stdout, stderr } = await foster.run(verb, { timeoutMs: LIMIT_MS }).catch((error) => {
          throw new Error(`${what}: ${error.message}`);
        });
        assert(code !== 70 && code < 128, `${what} ended with ${code}\n${stdout}\n${stderr}`);
        assertEquals(await stamp(canary), before, what);
        await bystander.assertUnharmed(what);
      }
      await Deno.remove(path, { recursive: true }).catch(() => {});
      await foster.run(["down", "--all"]);
      await foster.run(["serve", "--stop"]);
      await foster.endServers();
    });
  }
}

async function stamp(path: string): Promise<string> {
  const { mode, size, mtime, uid } = await Deno.stat(path);
  return JSON.stringify([await Deno.readTextFile(path), mode, size, mtime, uid]);
}
