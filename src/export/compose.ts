/**
 * Definitions as Docker Compose runs them. Values of secrets come from the environment of who types `docker compose up`.
 *
 * @module
 */
import { Document } from "yaml";
import { DATA_FOLDER } from "./container.ts";
import {
  CONFIG_FILE,
  definitionFile,
  probeCommand,
  serveArguments,
  STATE_FOLDER,
  TOKEN_FOLDER,
  variablesOf,
  warningsOf,
  type Workload,
} from "./workload.ts";

const TOKEN_VARIABLE = "FOSTER_GATEWAY_TOKEN";

type ComposeFile = Record<string, unknown>;

export function composeFile(workloads: readonly Workload[], { image }: { image: string }): ComposeFile {
  const named = <T>(of: (workload: Workload, index: number) => T, more = "") =>
    Object.fromEntries(workloads.map((each, index) => [`${each.name}${more}`, of(each, index)]));
  return {
    name: "foster",
    services: named((workload, index) => service(workload, { image, hostPort: workload.port + index })),
    configs: named((workload) => ({ content: escaped(definitionFile(workload)) }), "-definitions"),
    secrets: { "foster-token": { environment: TOKEN_VARIABLE } },
    volumes: named(() => ({}), "-data"),
  };
}

export function composeText(workloads: readonly Workload[], file: ComposeFile): string {
  const needed = workloads.flatMap(variablesOf);
  const head = [
    "foster's servers for Docker Compose. Values come from the environment, or from a file .env beside this one:",
    "",
    `${TOKEN_VARIABLE}="$(openssl rand -hex 32)" docker compose up -d`,
    ...needed.map(({ name, isOptional, what, server }) =>
      `  ${name}: ${server}, ${what}${isOptional ? " (may be left out)" : ""}`
    ),
    "",
    "Clients send the token: Authorization: Bearer TOKEN. Whoever has it can use every server.",
    ...workloads.map(({ port, path }, index) => `http://127.0.0.1:${port + index}${path}`),
    ...warningsOf(workloads.flatMap(({ servers }) => servers)).map((warning) => `note: ${warning}`),
  ];
  const comment = head.map((line) => line === "" ? "#" : `# ${line}`).join("\n");
  return `${comment}\n${
    new Document(file, { version: "1.1", aliasDuplicateObjects: false }).toString({ lineWidth: 0 })
  }`;
}

/** A dollar sign would begin a variable of Compose's own. */
function escaped(text: string): string {
  return text.replaceAll("$", () => "$$");
}

function service(workload: Workload, { image, hostPort }: { image: string; hostPort: number }) {
  const { name, port } = workload;
  const variables = variablesOf(workload);
  return {
    image,
    // The name within the network, and that of the port on this machine.
    command: serveArguments(workload, [name, `127.0.0.1:${hostPort}`, `localhost:${hostPort}`]),
    environment: {
      FOSTER_STATE_DIR: STATE_FOLDER,
      HOME: `${DATA_FOLDER}/home`,
      ...Object.fromEntries(variables.map(({ name, isOptional }) => [
        name,
        // Null passes it on where it is set.
        isOptional ? null : `\${${name}:?set it where docker compose runs, or in .env}`,
      ])),
    },
    ports: [`127.0.0.1:${hostPort}:${port}`],
    configs: [{ source: `${name}-definitions`, target: CONFIG_FILE }],
    secrets: [{ source: "foster-token", target: `${TOKEN_FOLDER}/token` }],
    volumes: [`${name}-data:${DATA_FOLDER}`],
    // Docker mounts it without: some servers build there what they then run.
    tmpfs: ["/tmp:exec"],
    healthcheck: {
      test: ["CMD", ...probeCommand(workload)],
      interval: "60s",
      timeout: "25s",
      retries: 3,
      start_period: "300s",
      start_interval: "5s",
    },
    restart: "unless-stopped",
    init: true,
    read_only: true,
    cap_drop: ["ALL"],
    security_opt: ["no-new-privileges:true"],
    deploy: { resources: { limits: { memory: "1g" } } },
  };
}
