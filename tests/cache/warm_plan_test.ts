import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { warmPlan } from "../../src/cache/warm_plan.ts";

/** Command lines without their first word's path, separated by blanks; `exit 0` is one argument. */
const fetching: { launch: string; what: string; fetch: string }[] = [
  {
    launch: "uvx --from pkg==1.2 pkg --port 8000",
    what: "pkg==1.2",
    fetch: "uvx --from pkg==1.2 python -V",
  },
  { launch: "uvx pkg@1.2 --offline", what: "pkg@1.2", fetch: "uvx --from pkg@1.2 python -V" },
  { launch: "uvx pkg", what: "pkg", fetch: "uvx --from pkg python -V" },
  { launch: "uvx -- pkg", what: "pkg", fetch: "uvx --from pkg python -V" },
  {
    launch: "uvx --refresh --from=pkg==1.2 pkg",
    what: "pkg==1.2",
    fetch: "uvx --refresh --from pkg==1.2 python -V",
  },
  {
    launch: "uvx -qq -p 3.12 -p3.11 --with other --index-url=http://x/ pkg run",
    what: "pkg",
    fetch: "uvx -qq -p 3.12 -p3.11 --with other --index-url=http://x/ --from pkg python -V",
  },
  {
    launch: "uvx --from git+https://x/y tool",
    what: "git+https://x/y",
    fetch: "uvx --from git+https://x/y python -V",
  },
  { launch: "uvx python@3.12 -m http.server", what: "python@3.12", fetch: "uvx python@3.12 -V" },
  { launch: "uvx --from pkg python -m pkg", what: "pkg", fetch: "uvx --from pkg python -V" },
  {
    launch: "uv --cache-dir /c tool run --from pkg==1 pkg",
    what: "pkg==1",
    fetch: "uv --cache-dir /c tool run --from pkg==1 python -V",
  },
  {
    launch: "npx -y @scope/pkg@1.2 streamableHttp --ws-port 1",
    what: "@scope/pkg@1.2",
    fetch: "npx --yes --package @scope/pkg@1.2 --call {exit 0}",
  },
  { launch: "npx pkg", what: "pkg", fetch: "npx --yes --package pkg --call {exit 0}" },
  {
    launch: "npx -y -p a@1 --package=b@2 --registry http://x/ bin",
    what: "a@1, b@2",
    fetch: "npx --registry http://x/ --yes --package a@1 --package b@2 --call {exit 0}",
  },
  { launch: "npx -y -p a -c serve", what: "a", fetch: "npx --yes --package a --call {exit 0}" },
  {
    launch: "npm exec -y -- pkg@1 --port 1",
    what: "pkg@1",
    fetch: "npm exec --yes --package pkg@1 --call {exit 0}",
  },
  { launch: "npm x pkg", what: "pkg", fetch: "npm exec --yes --package pkg --call {exit 0}" },
  { launch: "bunx pkg@1 --port 1", what: "pkg@1", fetch: "bunx --package pkg@1 bun --version" },
  { launch: "bunx --bun -p pkg@1 bin", what: "pkg@1", fetch: "bunx --bun --package pkg@1 bun --version" },
  { launch: "bun x pkg", what: "pkg", fetch: "bun x --package pkg bun --version" },
  { launch: "deno run -A npm:pkg@1 serve", what: "npm:pkg@1", fetch: "deno cache npm:pkg@1" },
  {
    launch: "deno run -RN --allow-env=A,B -c deno.json --reload --no-lock --port 1 main.ts",
    what: "main.ts",
    fetch: "deno cache -c deno.json --reload --no-lock main.ts",
  },
  { launch: "deno serve --port 8000 main.ts", what: "main.ts", fetch: "deno cache main.ts" },
  { launch: "deno x -y pkg@1 serve", what: "npm:pkg@1", fetch: "deno cache npm:pkg@1" },
  { launch: "deno x jsr:@a/b", what: "jsr:@a/b", fetch: "deno cache jsr:@a/b" },
  { launch: "deno x -p npm:pkg@1 bin", what: "npm:pkg@1", fetch: "deno cache npm:pkg@1" },
];

const nothing: { launch: string; because: string }[] = [
  { launch: "/opt/foster demo-server --port 3001", because: "it is a part of foster itself" },
  { launch: "python -m server", because: "python fetches nothing that foster knows of" },
  { launch: "uv run server", because: "uv run server fetches nothing" },
  { launch: "npm start", because: "npm start fetches nothing" },
  { launch: "npm", because: "npm fetches nothing" },
  { launch: "bun server.ts", because: "bun server.ts fetches nothing" },
  { launch: "deno task start", because: "deno task fetches nothing" },
  { launch: "docker run --rm image", because: "docker fetches nothing" },
  { launch: "uvx --new-option pkg tool", because: "does not know the option --new-option of uvx" },
  { launch: "uvx --from", because: "does not know the option --from of uvx" },
  { launch: "uvx", because: "uvx names no tool" },
  { launch: "uvx --offline pkg", because: "uvx is told to stay offline" },
  { launch: "uv --offline tool run pkg", because: "uv tool run is told to stay offline" },
  { launch: "uvx --no-cache pkg", because: "uvx is told to keep no cache" },
  { launch: "npx --offline pkg", because: "npx is told to stay offline" },
  { launch: "npx --no pkg", because: "npx is told to install nothing" },
  { launch: "npx --new-option x pkg", because: "does not know the option --new-option of npx" },
  { launch: "npx -c serve", because: "npx names no package" },
  { launch: "bunx --no-install pkg", because: "bunx is told to install nothing" },
  { launch: "deno run --cached-only main.ts", because: "deno run is told to stay offline" },
  { launch: "deno run -", because: "deno run names no module" },
  { launch: "deno run --new-option x main.ts", because: "does not know the option --new-option of deno run" },
];

function words(line: string): string[] {
  return [...line.matchAll(/\{([^}]*)\}|\S+/g)].map(([word, braced]) => braced ?? word);
}

for (const { launch, what, fetch } of fetching) {
  Deno.test(`warmPlan() fetches for ${launch}`, () => {
    const [command = "", ...args] = words(launch);
    const [program = "", ...wanted] = words(fetch);
    const expected = { kind: "fetch" as const, what, command: `/bin/${program}`, args: wanted };
    assertEquals(warmPlan({ command: `/bin/${command}`, args }), expected);
  });
}

for (const { launch, because } of nothing) {
  Deno.test(`warmPlan() fetches nothing for ${launch}`, () => {
    const [command = "", ...args] = words(launch);
    const plan = warmPlan({ command: `/bin/${command}`, args });
    assert(plan.kind === "nothing");
    assertStringIncludes(plan.why, because);
  });
}

for (const command of ["C:\\node\\npx.cmd", "C:\\x\\NPX.CMD", "/usr/bin/npx", "npx.exe"]) {
  Deno.test(`warmPlan() knows npx as ${command}`, () => {
    assertEquals(warmPlan({ command, args: ["-y", "pkg"] }).kind, "fetch");
  });
}
