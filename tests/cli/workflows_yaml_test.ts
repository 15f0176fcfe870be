import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { parse } from "yaml";
import { releaseTargets } from "../../scripts/build.ts";
import { Foster, isAlive } from "../e2e/harness.ts";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const FILES = {
  ci: ".github/workflows/ci.yml",
  release: ".github/workflows/release.yml",
  action: ".github/actions/foster/action.yml",
};

interface Step {
  name?: string;
  uses?: string;
  run?: string;
  shell?: string;
  if?: string;
  "working-directory"?: string;
  env?: Record<string, string>;
}

interface Job {
  steps: Step[];
  "runs-on": string;
  defaults?: { run: { shell?: string } };
  permissions?: Record<string, string>;
  strategy?: { matrix: { include?: { binary?: string; os: string }[]; os?: string[]; runtime?: string[] } };
}

interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

interface Action {
  inputs: Record<string, { default: string }>;
  outputs: Record<string, { value: string }>;
  runs: { using: string; steps: Step[] };
}

/** All values as text, as the runner of the workflows passes them on. */
async function yaml<T>(file: string): Promise<T> {
  return parse(await Deno.readTextFile(join(ROOT, file)), { schema: "failsafe" });
}

const [ci, release, action] = await Promise.all([
  yaml<Workflow>(FILES.ci),
  yaml<Workflow>(FILES.release),
  yaml<Action>(FILES.action),
]);

Deno.test("the workflows may read, and only publishing may write", () => {
  for (const workflow of [ci, release]) {
    assertEquals(workflow.permissions, { contents: "read" });
    for (const [name, job] of Object.entries(workflow.jobs)) {
      const writes = { contents: "write", "id-token": "write", attestations: "write" };
      assertEquals(job.permissions, name === "publish" ? writes : undefined, name);
    }
  }
});

Deno.test("every action of others is pinned to a commit", () => {
  const steps = [
    ...[ci, release].flatMap((workflow) => Object.values(workflow.jobs).flatMap((job) => job.steps)),
    ...action.runs.steps,
  ];
  for (const { uses } of steps) {
    if (uses !== undefined) {
      assertMatch(uses, /^(?:\.\/\.github\/actions\/foster|[\w-]+\/[\w-]+@[0-9a-f]{40})$/);
    }
  }
});

Deno.test("scripts are bash's on Windows too, whose own shell would read them another way", () => {
  for (const workflow of [ci, release]) {
    for (const [name, { "runs-on": system, strategy, defaults, steps }] of Object.entries(workflow.jobs)) {
      const { os = [], include = [] } = strategy?.matrix ?? {};
      const systems = [system, ...os, ...include.map((each) => each.os)];
      if (!systems.some((each) => each.startsWith("windows"))) continue;
      const all = steps.filter(({ run }) => run !== undefined);
      const others = all.filter(({ shell = defaults?.run.shell }) => shell !== "bash");
      assertEquals(others.map((each) => each.name ?? each.run), [], name);
    }
  }
  for (const { name, run, shell } of action.runs.steps) assert(run === undefined || shell === "bash", name);
});

Deno.test("a checkout has the same bytes on every system", async () => {
  assertMatch(await Deno.readTextFile(join(ROOT, ".gitattributes")), /^\* -text$/m);
});

Deno.test("no script has a value of the event or an input written into it", () => {
  const jobs = [ci, release].flatMap((workflow) => Object.values(workflow.jobs));
  for (const { name, run } of [...jobs.flatMap((job) => job.steps), ...action.runs.steps]) {
    assert(!run?.includes("${{"), name);
  }
});

Deno.test("ci works on three systems and with both runtimes", () => {
  const { os, runtime } = ci.jobs["session"]?.strategy?.matrix ?? {};
  assertEquals([os, runtime], [["ubuntu-latest", "macos-latest", "windows-latest"], ["deno", "bun"]]);
});

Deno.test("ci runs the whole suite on Windows, both Macs, arm64 and Alpine, and compares what macOS' calls tell", () => {
  const suite = ci.jobs["suite"];
  assertEquals(suite?.strategy?.matrix.os, [
    "macos-latest",
    "macos-15-intel",
    "windows-latest",
    "ubuntu-24.04-arm",
  ]);
  const scripts = (name: string) => ci.jobs[name]?.steps.map(({ run }) => run ?? "").join("\n") ?? "";
  for (const name of ["suite", "alpine"]) {
    for (const command of ["deno task test --all\n", "deno task test tests/e2e", "deno task smoke "]) {
      assert(`${scripts(name)}\n`.includes(command), `${name}: ${command}`);
    }
  }
  assert(scripts("suite").includes("deno task test:mac\nbun scripts/mac_readers.ts"));
});

Deno.test("release tries every binary that it publishes", () => {
  const tried = ["smoke", "musl"].flatMap((job) =>
    release.jobs[job]?.strategy?.matrix.include?.map(({ binary }) => binary ?? "") ?? []
  );
  const published = Object.values(releaseTargets).flat().map(({ name }) => name);
  assertEquals(tried.sort(), published.sort());
});

Deno.test(
  "every script of the workflows and the action is one that bash can read",
  async () => {
    const jobs = [ci, release].flatMap((workflow) => Object.values(workflow.jobs));
    for (const { name, run } of [...jobs.flatMap((job) => job.steps), ...action.runs.steps]) {
      if (run === undefined) continue;
      const { success, stderr } = await new Deno.Command("bash", { args: ["-n", "-c", run] }).output();
      assert(success, `${name}: ${new TextDecoder().decode(stderr)}`);
    }
  },
);

Deno.test("the action starts servers, tells where they are, and takes them away", async () => {
  await using foster = await Foster.create();
  const program = join(foster.folder, "foster");
  const words = [
    Deno.execPath(),
    "run",
    "-q",
    "--no-prompt",
    "--config",
    join(ROOT, "deno.json"),
    ...scopedFlags,
  ];
  const command = [...words, join(ROOT, "main.ts")].map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(program, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  const files = { GITHUB_ENV: join(foster.folder, "env"), GITHUB_OUTPUT: join(foster.folder, "output") };
  const common = {
    ...files,
    RUNNER_TEMP: foster.folder,
    CI: "true",
    UV_CACHE_DIR: join(foster.folder, "uv"),
  };
  for (const path of Object.values(files)) await Deno.writeTextFile(path, "");
  const step = async (name: string, env: Record<string, string>) => {
    const { run = "" } = action.runs.steps.find((each) => each.name === name) ?? {};
    const running = foster.startProgram("bash", ["-e", "-o", "pipefail", "-c", run], {
      env: { ...common, ...env },
    });
    const { code, stdout, stderr } = await running.finish(60_000);
    assertEquals(code, 0, `${name}: ${stdout}\n${stderr}`);
  };
  await step("Find or install foster", { FOSTER_MODE: "up", FOSTER_GIVEN: program, FOSTER_STATE_DIR: "" });
  assertEquals(
    await Deno.readTextFile(files.GITHUB_ENV),
    `FOSTER_STATE_DIR=${foster.folder}/foster-state\nFOSTER_PROGRAM=${program}\n`,
  );
  const given = { FOSTER_PROGRAM: program };
  await step("Start the servers", {
    ...given,
    FOSTER_SERVERS: "demo\n",
    FOSTER_FILE: "",
    FOSTER_WAIT: "20s",
  });
  const text = await Deno.readTextFile(files.GITHUB_OUTPUT);
  const outputs = Object.fromEntries(text.trim().split("\n").map((line) => line.split("=")));
  assertMatch(outputs.endpoint, /^http:\/\/127\.0\.0\.1:\d+\/mcp$/);
  assertEquals(Object.keys(action.outputs), ["endpoint", "pid", "log"]);
  assert(await isAlive(Number(outputs.pid)));
  assert((await Deno.stat(outputs.log)).isFile);
  await step("End the servers", given);
  assert(!await isAlive(Number(outputs.pid)));
});
