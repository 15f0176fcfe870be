/**
 * Definitions as Kubernetes runs them: a Deployment of one replica, its Service, its definition file and its volume. Values
 * of secrets are named, never written.
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
  USER_ID,
  variablesOf,
  warningsOf,
  type Workload,
} from "./workload.ts";

type Manifest = Record<string, unknown>;

const TOKEN_SECRET = "foster-token";

export function kubernetesManifests(
  workloads: readonly Workload[],
  { image }: { image: string },
): Manifest[] {
  return workloads.flatMap((workload) => [
    configMap(workload),
    volumeClaim(workload),
    deployment(workload, image),
    service(workload),
  ]);
}

/** All manifests as one text, headed by what has to be made by hand. */
export function kubernetesText(workloads: readonly Workload[], manifests: readonly Manifest[]): string {
  const head = [
    "foster's servers for Kubernetes. Before kubectl apply, make the secrets that are named here:",
    "",
    `kubectl create secret generic ${TOKEN_SECRET} --from-literal=token="$(openssl rand -hex 32)"`,
    ...workloads.flatMap(secretLines),
    "",
    "Clients send the token: Authorization: Bearer TOKEN. Whoever has it can use every server, and the traffic is not",
    "encrypted: beyond the cluster put TLS in front.",
    ...workloads.map(({ name, port, path }) => `http://${name}:${port}${path}`),
    ...warningsOf(workloads.flatMap(({ servers }) => servers)).map((warning) => `note: ${warning}`),
  ];
  const comment = head.map((line) => line === "" ? "#" : `# ${line}`).join("\n");
  return `${comment}\n${manifests.map((each) => `---\n${yamlText(each)}`).join("")}`;
}

/** YAML 1.1, which kubectl reads: texts such as `on` are quoted. */
function yamlText(manifest: Manifest): string {
  return new Document(manifest, { version: "1.1", aliasDuplicateObjects: false }).toString({ lineWidth: 0 });
}

function secretLines(workload: Workload): string[] {
  const needed = variablesOf(workload);
  if (needed.length === 0) return [];
  const words = needed.map(({ name, isOptional, what, server }) =>
    `#   ${name}: ${server}, ${what}${isOptional ? " (may be left out)" : ""}`.slice(2)
  );
  const literals = needed.map(({ name }) => `--from-literal=${name}=…`).join(" ");
  return [`kubectl create secret generic ${secretOf(workload)} ${literals}`, ...words];
}

function secretOf({ name }: Workload): string {
  return `${name}-env`;
}

function metadata({ name }: Workload, more = "") {
  return {
    name: `${name}${more}`,
    labels: { "app.kubernetes.io/name": "foster", "app.kubernetes.io/instance": name },
  };
}

function configMap(workload: Workload): Manifest {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: metadata(workload, "-definitions"),
    data: { "foster.json": definitionFile(workload) },
  };
}

function volumeClaim(workload: Workload): Manifest {
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: metadata(workload, "-data"),
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
  };
}

/** Names within the cluster, by which a Service is reached. */
function hostsOf({ name }: Workload): string[] {
  const whole = `${name}.$(POD_NAMESPACE)`;
  return [name, whole, `${whole}.svc`, `${whole}.svc.cluster.local`];
}

function deployment(workload: Workload, image: string): Manifest {
  const { name } = workload;
  const command = probeCommand(workload);
  const probe = (rest: Manifest) => ({ exec: { command }, timeoutSeconds: 25, ...rest });
  const variables = variablesOf(workload).map(({ name: key, isOptional }) => ({
    name: key,
    valueFrom: { secretKeyRef: { name: secretOf(workload), key, ...isOptional ? { optional: true } : {} } },
  }));
  const container = {
    name: "foster",
    image,
    args: serveArguments(workload, hostsOf(workload)),
    env: [
      { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
      { name: "FOSTER_STATE_DIR", value: STATE_FOLDER },
      { name: "HOME", value: `${DATA_FOLDER}/home` },
      ...variables,
    ],
    ports: [{ name: "mcp", containerPort: workload.port }],
    // The first start of a server may have to fetch it.
    startupProbe: probe({ periodSeconds: 10, failureThreshold: 30 }),
    readinessProbe: probe({ periodSeconds: 30 }),
    livenessProbe: probe({ periodSeconds: 60, failureThreshold: 3 }),
    resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "1Gi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      // As a file of its own: a mounted folder is one of links, whose real path changes with each edit.
      { name: "definitions", mountPath: CONFIG_FILE, subPath: "foster.json", readOnly: true },
      { name: "token", mountPath: TOKEN_FOLDER, readOnly: true },
      { name: "data", mountPath: DATA_FOLDER },
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
  const labels = metadata(workload).labels;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(workload),
    spec: {
      // Two supervisors can't share a state folder.
      replicas: 1,
      strategy: { type: "Recreate" },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 60,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: USER_ID,
            runAsGroup: USER_ID,
            fsGroup: USER_ID,
            seccompProfile: { type: "RuntimeDefault" },
          },
          containers: [container],
          volumes: [
            { name: "definitions", configMap: { name: `${name}-definitions` } },
            { name: "token", secret: { secretName: TOKEN_SECRET } },
            { name: "data", persistentVolumeClaim: { claimName: `${name}-data` } },
            { name: "tmp", emptyDir: {} },
          ],
        },
      },
    },
  };
}

function service(workload: Workload): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(workload),
    spec: {
      selector: metadata(workload).labels,
      ports: [{ name: "mcp", port: workload.port, targetPort: "mcp" }],
    },
  };
}
