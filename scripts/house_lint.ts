/**
 * A lint plugin that holds the house together: who may import whom, and that only `src/host` touches the machine.
 * Circles need more than one file: `check_circles.ts` finds them.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** From the top down: a folder may import from those below it. */
const floors: readonly (readonly string[])[] = [
  ["cli"],
  ["export"],
  ["connect", "clients"],
  ["gateway"],
  ["supervisor", "relay", "cache", "register", "doctor", "update"],
  ["lifecycle"],
  ["registry"],
  ["definitions", "mcp", "link", "demo"],
  ["host"],
  ["base"],
];

/** The arrows between folders of one floor. */
const beside: Readonly<Record<string, readonly string[]>> = { doctor: ["cache"] };

/** Names that reach the machine wherever they stand free. */
const machineNames = new Set(
  ("Deno Bun globalThis performance setTimeout setInterval setImmediate clearTimeout clearInterval queueMicrotask " +
    "requestIdleCallback XMLHttpRequest console").split(" "),
);

/** Names that reach the machine through these members only. */
const machineMembers: Readonly<Record<string, readonly string[]>> = {
  process:
    ("argv cwd emit env exit exitCode hrtime kill memoryUsage nextTick on once pid platform ppid stderr stdin " +
      "stdout umask uptime versions").split(" "),
  Math: ["random"],
  Date: ["now"],
  crypto: ["getRandomValues", "randomUUID"],
  AbortSignal: ["timeout"],
};

/** Classes whose making opens a connection or starts a thread. */
const machineClasses = new Set(["WebSocket", "WebSocketStream", "EventSource", "Worker", "BroadcastChannel"]);

const signalFile = "src/lifecycle/stop/signal.ts";
const project = fileURLToPath(new URL("..", import.meta.url));

/** The fields of any node that the rules read. */
// deno-lint-ignore no-explicit-any
type Node = any;

function fileOf({ filename }: Deno.lint.RuleContext): string {
  return (filename.startsWith(project) ? filename.slice(project.length) : filename).replaceAll("\\", "/");
}

/** What runs in a page is text to the program. */
function isForBrowsers(file: string): boolean {
  return /^src\/gateway\/page\/browser\//.test(file.replaceAll("\\", "/"));
}

function importRule(file: string, specifier: string, typesOnly: boolean): string | null {
  if (/^(?:npm|jsr|https?):/.test(specifier)) {
    return "packages are imported by the names that deno.json gives them";
  }
  const inSource = file.startsWith("src/");
  if (/^(?:node|bun):/.test(specifier)) {
    const free = /^node:(?:path|crypto|util)$/.test(specifier) || file.startsWith("src/host/");
    return (inSource || file === "main.ts") && !free ? "only src/host touches the runtime" : null;
  }
  if (!/^\.{0,2}\//.test(specifier)) return null;
  if (isForBrowsers(file) || isForBrowsers(join(dirname(file), specifier))) return null;
  if (!specifier.endsWith(".ts")) return "relative imports end in .ts";
  const target = join(dirname(file), specifier).replaceAll("\\", "/");
  if (file === "main.ts" && !/^src\/(?:host\/|cli\/app\.ts$)/.test(target)) {
    return "main.ts imports src/host and src/cli/app.ts only";
  }
  if (!inSource) return null;
  if (!target.startsWith("src/")) return "the program imports nothing from outside src";
  const folderOf = (path: string) => /^src\/([^/]+)\//.exec(path)?.[1] ?? "";
  const [from, to] = [folderOf(file), folderOf(target)];
  if (to === "" || from === to) return null;
  const [above, below] = [from, to].map((folder) => floors.findIndex((floor) => floor.includes(folder)));
  if (above === undefined || below === undefined || above < 0 || below < 0) {
    return `src/${from} or src/${to} has no place in the house`;
  }
  if (above >= below && !beside[from]?.includes(to)) return `src/${from} may not import src/${to}`;
  if (to !== "host" || target === "src/host/host.ts" || typesOnly) return null;
  return "outside src/host only the interface src/host/host.ts is imported, or types";
}

const imports: Deno.lint.Rule = {
  create(context) {
    const check = (node: Node, source: unknown, typesOnly: boolean) => {
      const rule = typeof source === "string" ? importRule(fileOf(context), source, typesOnly) : null;
      if (rule !== null) context.report({ node, message: `"${source}": ${rule}` });
    };
    const areTypes = (kind: string, specifiers: Node[]) =>
      kind === "type" ||
      specifiers.length > 0 && specifiers.every((each) => (each.importKind ?? each.exportKind) === "type");
    return {
      ImportDeclaration: (node) => check(node, node.source.value, areTypes(node.importKind, node.specifiers)),
      ExportNamedDeclaration: (node) =>
        check(node, node.source?.value, areTypes(node.exportKind, node.specifiers)),
      ExportAllDeclaration: (node) => check(node, node.source.value, node.exportKind === "type"),
      ImportExpression: (node: Node) => {
        const { value } = node.source;
        check(node, value, false);
        const isPackage = typeof value === "string" && !/^(?:\.{0,2}\/|node:|bun:)/.test(value);
        if (!isPackage || !fileOf(context).startsWith("src/")) return;
        // What such an import gives in a binary may have no names: the bundle wraps what is no module.
        context.report({ node, message: `"${value}": a package is imported late through a module of src` });
      },
      TSImportType: (node: Node) => check(node, node.argument.literal?.value, true),
    };
  },
};

/** The names that a pattern binds. */
function namesIn(pattern: Node): string[] {
  if (pattern == null) return [];
  if (pattern.type === "Identifier") return [pattern.name];
  const inner = [pattern.left, pattern.argument, pattern.value, pattern.id, pattern.local];
  return [...inner, ...pattern.elements ?? [], ...pattern.properties ?? []].flatMap(namesIn);
}

/** Whether the file gives the name a meaning of its own where the node stands. */
function isBound(context: Deno.lint.RuleContext, node: Node): boolean {
  return context.sourceCode.getAncestors(node).some((scope: Node) => {
    const statements = [scope.body, scope.left, scope.init].flat();
    const declared = statements.flatMap((
      each,
    ) => [each?.id, ...each?.declarations ?? [], ...each?.specifiers ?? []]);
    return [...scope.params ?? [], scope.param, ...declared].flatMap(namesIn).includes(node.name);
  });
}

function machineUse(node: Node): string | null {
  const { name, parent } = node;
  const isKey = (parent.type === "MemberExpression" && parent.property === node && !parent.computed) ||
    (/Property|Method/.test(parent.type) && parent.key === node && !parent.shorthand && !parent.computed);
  if (isKey) return null;
  if (machineNames.has(name)) return name;
  const member = parent.type === "MemberExpression" && parent.object === node ? parent.property : null;
  const memberName = member?.name ?? member?.value;
  if (Object.hasOwn(machineMembers, name) && machineMembers[name]?.includes(memberName)) {
    return `${name}.${memberName}`;
  }
  if (name === "fetch" && parent.type === "CallExpression" && parent.callee === node) return "fetch()";
  if (parent.type !== "NewExpression" || parent.callee !== node) return null;
  if (machineClasses.has(name)) return `new ${name}()`;
  return name === "Date" && parent.arguments.length === 0 ? "new Date() without a time" : null;
}

const machine: Deno.lint.Rule = {
  create(context) {
    const file = fileOf(context);
    if (!file.startsWith("src/") || /^src\/(?:host|ambient)\//.test(file) || isForBrowsers(file)) return {};
    return {
      Identifier(node) {
        const use = machineUse(node);
        if (use === null || isBound(context, node)) return;
        context.report({ node, message: `${use}: only src/host touches the machine` });
      },
      CallExpression({ callee }: Node) {
        const owner = callee.object?.property?.name ?? callee.object?.name;
        if (file === signalFile || callee.property?.name !== "signal" || !/^#?processes$/.test(owner)) return;
        context.report({ node: callee, message: `signals are sent by ${signalFile} only` });
      },
    };
  },
};

export default { name: "house", rules: { imports, machine } } satisfies Deno.lint.Plugin;
