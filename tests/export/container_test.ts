import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { type ContainerServer, forContainer, pathsToObserve } from "../../src/export/container.ts";
import { composeFile, composeText } from "../../src/export/compose.ts";
import { kubernetesManifests, kubernetesText } from "../../src/export/kubernetes.ts";
import { type Workload, workloads } from "../../src/export/workload.ts";
import { checkShape, type WrittenServer } from "../../src/definitions/schema.ts";
import { define } from "../definitions/machine.ts";
import { missing, unless } from "../skip.ts";

const HERE = new Set(["/base/server.py", "/srv/docs"]);

function exported(
  written: WrittenServer,
  { name = "docs", taken = new Map(), allowPaths = false }: {
    name?: string;
    taken?: Map<string, string>;
    allowPaths?: boolean;
  } = {},
): ContainerServer {
  const facts = { exists: (path: string) => HERE.has(path), envFileNames: ["FROM_FILE"] };
  return forContainer(define(written, { name }), { facts, taken, allowPaths });
}

const SECRETS: WrittenServer = {
  command: "npx",
  args: ["-y", "server", "--api-key", "planted-1-sk-0123456789abcdef", [
    "--url=https://me:planted-2@a.example/x",
  ]],
  env: {
    API_KEY: "planted-3",
    PORT: "${port}",
    COPY: "${env:COPY:-planted-4}",
    ON: "on",
    CMD: "${cmd:pass planted-5}",
  },
  headers: { Authorization: "Bearer ${env:DOCS_BEARER}", "X-Key": "Bearer planted-6" },
  envFile: "secrets.env",
  session: { env: "SESSION", payload: { deep: [{ token: "planted-7" }], port: "${port}" } },
};

Deno.test("forContainer() writes names of variables in the place of every value of env and headers", () => {
  const { written, variables, unfit } = exported(SECRETS);
  assertEquals(JSON.stringify(written).match(/planted-\d/g), null);
  assertEquals(unfit, []);
  assertEquals(written["env"], {
    API_KEY: "${env:DOCS_API_KEY}",
    PORT: "${port}",
    COPY: "${env:COPY}",
    ON: "${env:DOCS_ON}",
    CMD: "${env:DOCS_CMD}",
    FROM_FILE: "${env:DOCS_FROM_FILE}",
  });
  assertEquals(written["headers"], {
    Authorization: "Bearer ${env:DOCS_BEARER}",
    "X-Key": "${env:DOCS_X_KEY}",
  });
  const asked = [...JSON.stringify(written).matchAll(/\$\{env:([^}]+)\}/g)].map(([, name]) => name);
  const given = variables.map(({ name }) => name);
  assertEquals([...new Set(asked)].sort(), [...new Set(given)].sort());
  assertEquals(variables.map(({ what }) => what).join().match(/planted/g), null);
});

Deno.test("forContainer() gives a definition that foster reads again", () => {
  const { written } = exported(SECRETS);
  assertEquals(checkShape({ servers: { docs: written } }).kind, "valid");
});

const UNFIT: readonly [title: string, written: WrittenServer, says: RegExp][] = [
  ["a command that is a path", { command: "./server" }, /command ".\/server" is a path/],
  ["an argument in the home folder", { command: "npx", args: ["~/docs"] }, /"~\/docs" is a path/],
  ["an argument that exists here", { command: "npx", args: ["/srv/docs"] }, /"\/srv\/docs" is a path/],
  [
    "a value of a flag that exists here",
    { command: "npx", args: ["--root=/srv/docs"] },
    /\/srv\/docs" is a path/,
  ],
  ["a script of this folder", { command: "node", args: ["server.py"] }, /"server.py" is a path/],
  ["a path of Windows", { command: "npx", args: ["C:\\docs"] }, /is a path/],
  ["the definition's own folder", { command: "npx", args: ["${configDir}/x"] }, /is a path/],
  ["a working folder", { command: "npx", cwd: "server" }, /working folder/],
  ["a container", { command: "docker", args: ["run", "-i", "x"] }, /containers from within one/],
  [
    "a checkout alone",
    { command: undefined, launch: [{ tier: "dev_venv", command: "python3", ifExists: "src/x" }] },
    /needs src\/x/,
  ],
];

for (const [title, written, says] of UNFIT) {
  Deno.test(`forContainer() refuses ${title}`, () => assertMatch(exported(written).unfit.join(), says));
}

Deno.test("forContainer() leaves paths where they will be mounted, and says so", () => {
  const { unfit, warnings } = exported({ command: "npx", args: ["/srv/docs"] }, { allowPaths: true });
  assertEquals([unfit, warnings.length], [[], 1]);
});

Deno.test("forContainer() takes what is no path for none", () => {
  const args = ["-y", "@scope/server", "--path", "/mcp", "https://a.example/b", "stdio", "--name=a/b"];
  const written: WrittenServer = { command: "npx", args };
  assertEquals([exported(written).unfit, exported(written).warnings], [[], []]);
  assertEquals(pathsToObserve(define(written)).includes("/mcp"), true);
});

Deno.test("forContainer() keeps the variables of servers of one container apart", () => {
  const taken = new Map<string, string>();
  const one = exported({ command: "npx", env: { "C": "1" } }, { name: "a b", taken });
  const other = exported({ command: "npx", env: { "B_C": "2" } }, { name: "a", taken });
  const third = exported({ command: "npx", env: { "TOKEN": "3" } }, { name: "foster", taken });
  const names = [one, other, third].flatMap(({ variables }) => variables.map(({ name }) => name));
  assertEquals(names, ["A_B_C", "A_B_C_2", "SERVER_FOSTER_TOKEN"]);
});

Deno.test("workloads() are one for each server or one for all, on a port that no server has", () => {
  const servers = [
    exported({ command: "npx", port: 8420 }, { name: "Docs One" }),
    exported({ command: "npx" }, { name: "b" }),
  ];
  const apart = workloads(servers, { together: false });
  assertEquals(apart.map(({ name, path, port }) => [name, path, port]), [
    ["foster-docs-one", "/mcp/Docs%20One", 8421],
    ["foster-b", "/mcp/b", 8421],
  ]);
  assertEquals(workloads(servers, { together: true }).map(({ name, path }) => [name, path]), [[
    "foster",
    "/mcp",
  ]]);
  const same = [exported({ command: "npx" }, { name: "a.b" }), exported({ command: "npx" }, { name: "a b" })];
  assertThrows(() => workloads(same, { together: false }), RangeError, "foster-a-b");
});

function twoWorkloads(): Workload[] {
  return workloads([
    exported(SECRETS),
    exported({ command: "foster", args: ["demo-server"] }, { name: "demo" }),
  ], {
    together: false,
  });
}

Deno.test("exports for containers hold names of secrets, and no value", () => {
  const made = twoWorkloads();
  const kubernetes = kubernetesText(made, kubernetesManifests(made, { image: "foster:1" }));
  const compose = composeText(made, composeFile(made, { image: "foster:1" }));
  for (const text of [kubernetes, compose]) {
    assertEquals(text.match(/planted-\d/g), null);
    for (const name of ["DOCS_API_KEY", "DOCS_X_KEY", "DOCS_FROM_FILE", "COPY"]) {
      assert(text.includes(name), name);
    }
  }
});

async function validated(command: string, args: string[], text: string, env: Record<string, string> = {}) {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, text);
    const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args, file], env }).output();
    const decoder = new TextDecoder();
    assertEquals(code, 0, decoder.decode(stdout) + decoder.decode(stderr));
  } finally {
    await Deno.remove(file);
  }
}

const noValidator = await missing("kubernetes-validate");
Deno.test(unless(noValidator, "kubernetesText() is valid by Kubernetes' own schemas"), async () => {
  for (const together of [false, true]) {
    const servers = [
      exported(SECRETS),
      exported({ command: "uvx", args: ["x"], version: "^2" }, { name: "b" }),
    ];
    const made = workloads(servers, { together });
    await validated(
      "kubernetes-validate",
      ["--strict"],
      kubernetesText(made, kubernetesManifests(made, { image: "f:1" })),
    );
  }
});

const noCompose = await missing("docker", ["compose", "version"]);
Deno.test(unless(noCompose, "composeText() is valid for docker compose"), async () => {
  const made = twoWorkloads();
  const names = made.flatMap(({ servers }) =>
    servers.flatMap(({ variables }) => variables.map(({ name }) => name))
  );
  const env = Object.fromEntries([...names, "FOSTER_GATEWAY_TOKEN"].map((name) => [name, "x"]));
  const text = composeText(made, composeFile(made, { image: "f:1" }));
  await validated("docker", ["compose", "-f"], text, env);
});
