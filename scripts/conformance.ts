/**
 * The official conformance suite against a server made with the official SDK: directly, through `foster connect`, and at
 * the gateway's address with the server behind it over HTTP, stdio and SSE, and with one that speaks the other revision
 * alone. `deno task test:conformance [--only WAY]…`. Whatever passes directly has to pass through foster as well, but for
 * what {@link MEANINGLESS} lists. FOSTER_BIN names a binary to test; else the program runs from source.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { freePort } from "./bench/machine.ts";
import { bunPath } from "./bun_tool.ts";
import { callerEnvironment } from "./caller_environment.ts";

const SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12";
const REVISIONS = ["2025-11-25", "2026-07-28"];
const LIMIT_MS = 180_000;

const project = fromFileUrl(new URL("..", import.meta.url));

/** What concerns HTTP alone: the bridge in front of connect answers it, and passes no headers on. */
const ofTheBridge = new RegExp(
  "-http-|request-meta-invalid-missing|^(?:dns-rebinding-protection|http-header-validation|http-custom-header-server-validation|" +
    "server-session-lifecycle|server-sse-polling|tasks-request-headers)/",
);

/** What has no meaning at the gateway, most of it only where the server speaks the other revision, and why. */
export const MEANINGLESS: readonly {
  revision: string;
  /** Of the suite, or one of its checks. */
  scenario: string;
  isTranslated: boolean;
  reason: string;
}[] = [
  {
    revision: "2025-11-25",
    scenario: "server-sse-multiple-streams/server-sse-streams-functional",
    isTranslated: false,
    reason: "it reads streams of events: the gateway answers a list at once, as JSON",
  },
  {
    revision: "2026-07-28",
    scenario: "input-required-result-basic-elicitation",
    isTranslated: true,
    reason:
      "it expects the question under the key `user_name`: an older server's question has none, and gets one of foster's",
  },
  {
    revision: "2026-07-28",
    scenario: "input-required-result-ignore-extra-params",
    isTranslated: true,
    reason: "it answers the question under the key `user_name`, as above",
  },
  {
    revision: "2026-07-28",
    scenario: "input-required-result-multiple-input-requests",
    isTranslated: true,
    reason:
      "it expects three questions in one result: an older server sends them one by one, and each is asked as it comes",
  },
];

/** Whether a check is one of those without a meaning at the gateway. */
export function isMeaningless(name: string, { isTranslated }: { isTranslated: boolean }): boolean {
  return MEANINGLESS.some((each) =>
    (isTranslated || !each.isTranslated) && (name === each.scenario || name.startsWith(`${each.scenario}/`))
  );
}

interface Check {
  id: string;
  status: string;
}

/** The checks that passed, as `scenario/check`; one that failed anywhere did not. */
export function passesOf(scenarios: ReadonlyMap<string, readonly Check[]>): Set<string> {
  const all = [...scenarios].flatMap(([scenario, checks]) =>
    checks.map(({ id, status }) => ({ name: `${scenario}/${id}`, status }))
  );
  const failed = new Set(all.filter(({ status }) => status === "FAILURE").map(({ name }) => name));
  return new Set(all.flatMap(({ name, status }) => status === "SUCCESS" && !failed.has(name) ? [name] : []));
}

/** The checks that pass directly and do not through foster; `isForOthers`: foster has no part in them. */
export function lostChecks(
  direct: ReadonlySet<string>,
  through: ReadonlySet<string>,
  isForOthers: (name: string) => boolean = (name) => ofTheBridge.test(name),
): string[] {
  return [...direct].filter((name) => !through.has(name) && !isForOthers(name));
}

interface Server {
  url: string;
  process: Deno.ChildProcess;
}

async function listening(
  script: string,
  args: (port: number) => string[],
  env: Record<string, string>,
): Promise<Server> {
  const port = freePort();
  const file = join(project, "tests", "fixtures", script);
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "--config", join(project, "deno.json"), file, ...args(port)],
    cwd: env.HOME,
    env,
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  return { url: `http://127.0.0.1:${port}/mcp`, process };
}

/** Runs the suite. @throws Error where it says nothing */
async function passesAt(url: string, revision: string, folder: string): Promise<Set<string>> {
  const results = await Deno.makeTempDir({ dir: folder });
  const { stderr } = await new Deno.Command(await bunPath(), {
    args: ["x", "--bun", SUITE, "server", "--url", url, "--requirements", revision, "-o", results],
    cwd: folder,
    stdin: "null",
    stdout: "null",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const scenarios = new Map<string, Check[]>();
  for await (const { name } of Deno.readDir(results)) {
    const scenario = name.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, "");
    scenarios.set(scenario, JSON.parse(await Deno.readTextFile(join(results, name, "checks.json"))));
  }
  if (scenarios.size === 0) throw new Error(`the suite took nothing: ${new TextDecoder().decode(stderr)}`);
  return passesOf(scenarios);
}

function fosterCommand(): string[] {
  const binary = Deno.env.get("FOSTER_BIN");
  if (binary) return [binary];
  return [
    Deno.execPath(),
    "run",
    "-q",
    "-A",
    "--config",
    join(project, "deno.json"),
    join(project, "main.ts"),
  ];
}

async function main(): Promise<number> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-conformance-" }));
  const env = { ...callerEnvironment(), HOME: folder, FOSTER_STATE_DIR: join(folder, "state") };
  const [command = "", ...before] = fosterCommand();
  const server = join(project, "tests", "fixtures", "conformance_server.ts");
  const config = join(project, "deno.json");
  const args = ["run", "-q", "-A", "--config", config, server];
  const suite = { command: Deno.execPath(), args: [...args, "--port=${port}"], port: "auto" };
  const servers = {
    suite,
    sse: { ...suite, args: [...suite.args, "--sse"], transport: "sse" },
    ...Object.fromEntries(
      REVISIONS.map((revision, index) => {
        const speaks = index === 0 ? "--speaks=older" : "--speaks=newer";
        return [revision, { ...suite, args: [...suite.args, speaks] }];
      }),
    ),
    stdio: { command: Deno.execPath(), args: [...args, "--stdio"] },
  };
  await Deno.writeTextFile(join(folder, "foster.json"), JSON.stringify({ servers }));
  const foster = async (...args: string[]) => {
    const { stdout } = await new Deno.Command(command, {
      args: [...before, ...args],
      cwd: folder,
      env,
      clearEnv: true,
    }).output();
    return new TextDecoder().decode(stdout);
  };
  const direct = await listening("conformance_server.ts", (port) => [`--port=${port}`], env);
  const bridge = await listening(
    "http_bridge.ts",
    (port) => [`--port=${port}`, "--", command, ...before, "connect", "suite", "--idle", "5s"],
    env,
  );
  let failed = 0;
  let passed = 0;
  try {
    const served = JSON.parse(await foster("serve", "--detach", "--no-token", "--json"));
    const urlOf = (name: string): string =>
      served.servers.find((row: { name: string }) => row.name === name)?.endpoint ?? "";
    const at = (name: string) => `${served.supervisor.endpoint}/mcp/${name}`;
    const isForOthers = (name: string) => isMeaningless(name, { isTranslated: false });
    const ways: Way[] = [
      {
        name: "connect",
        url: bridge.url,
        revisions: REVISIONS,
        isForOthers: (name) => ofTheBridge.test(name),
      },
      { name: "http", url: at("suite"), revisions: REVISIONS, isForOthers },
      { name: "stdio", url: urlOf("stdio"), revisions: REVISIONS, isForOthers },
      // The transport is older than the newer revision.
      { name: "sse", url: at("sse"), revisions: REVISIONS.slice(0, 1), isForOthers },
      ...REVISIONS.map((revision) => ({
        name: "translated",
        url: urlOf(REVISIONS.find((each) => each !== revision) ?? ""),
        revisions: [revision],
        isForOthers: (name: string) => isMeaningless(name, { isTranslated: true }),
      })),
    ];
    const only = Deno.args.filter((_, index) => Deno.args[index - 1] === "--only");
    for (const revision of REVISIONS) {
      const own = await passesAt(direct.url, revision, folder);
      for (const { name: way, url, revisions, isForOthers } of ways) {
        if (!revisions.includes(revision) || (only.length > 0 && !only.includes(way))) continue;
        const through = await passesAt(url, revision, folder);
        const lost = lostChecks(own, through, isForOthers);
        for (const name of lost) {
          console.error(`${revision}  ${name} passes directly, not through foster (${way})`);
        }
        failed += lost.length;
        passed += own.size - lost.length;
        console.log(`${revision}: ${own.size} checks pass directly, ${through.size} through foster (${way})`);
      }
    }
  } finally {
    for (const { process } of [bridge, direct]) {
      process.kill("SIGTERM");
      await process.status;
    }
    await foster("down", "--all");
    await foster("serve", "--stop");
    await Deno.remove(folder, { recursive: true });
  }
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 ? 0 : 1;
}

/** Where the suite finds the server behind foster. */
interface Way {
  name: string;
  url: string;
  revisions: readonly string[];
  isForOthers(name: string): boolean;
}

if (import.meta.main) Deno.exit(await main());
