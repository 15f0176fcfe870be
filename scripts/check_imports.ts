/**
 * Holds the house together: who may import whom, and that only `src/host` touches the machine. Prints `file:line` and
 * the rule for everything that breaks it; exit code 1 where anything does.
 *
 * @module
 */
import { walk } from "@std/fs";
import { dirname, fromFileUrl, join, relative } from "@std/path";
import { type Token, tokensOf } from "./tokens.ts";

export interface Violation {
  /** Relative to the project, with forward slashes. */
  file: string;
  line: number;
  rule: string;
}

interface Import {
  specifier: string;
  line: number;
  /** Nothing of it is there when the program runs. */
  typesOnly: boolean;
}

/** From the top down: a folder may import from those below it, never from one beside or above it. */
const floors: readonly (readonly string[])[] = [
  ["cli"],
  ["connect", "clients"],
  ["gateway"],
  ["supervisor", "relay", "cache", "register", "doctor"],
  ["lifecycle"],
  ["registry"],
  ["definitions", "mcp", "link", "demo"],
  ["host"],
  ["base"],
];

/** Names that reach the machine wherever they stand free. */
const machineNames = new Set(
  ("Deno Bun globalThis performance setTimeout setInterval setImmediate clearTimeout clearInterval queueMicrotask " +
    "requestIdleCallback XMLHttpRequest console").split(" "),
);

/** Names that reach the machine through these members only; others' variables may be called the same. */
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

/** What breaks the rules of the house in one file. `file` is relative to the project, with forward slashes. */
export function checkFile(file: string, source: string): Violation[] {
  const tokens = tokensOf(source);
  const found: Violation[] = [];
  for (const each of importsOf(tokens)) {
    const rule = importRule(file, each);
    if (rule !== null) found.push({ file, line: each.line, rule });
  }
  if (!file.startsWith("src/") || file.startsWith("src/host/")) return found;
  tokens.forEach((token, index) => {
    const rule = useRule(file, { tokens, index });
    if (rule !== null) found.push({ file, line: token.line, rule });
  });
  return found.sort((a, b) => a.line - b.line);
}

function importRule(file: string, { specifier, typesOnly }: Import): string | null {
  if (/^(?:npm|jsr|https?):/.test(specifier)) {
    return `"${specifier}": packages are imported by the names that deno.json gives them`;
  }
  const inSource = file.startsWith("src/");
  const inHost = file.startsWith("src/host/");
  if (/^node:(?:path|crypto|util)$/.test(specifier)) return null;
  if (/^(?:node|bun):/.test(specifier)) {
    return inSource && !inHost || file === "main.ts"
      ? `"${specifier}": only src/host touches the runtime`
      : null;
  }
  if (!/^\.{0,2}\//.test(specifier)) {
    const allowed = !inSource || /^src\/host\/engine\/deno\//.test(file);
    return specifier.startsWith("@std/fs") && !allowed
      ? `"${specifier}": only in src/host/engine/deno`
      : null;
  }
  if (!specifier.endsWith(".ts")) return `"${specifier}": relative imports end in .ts`;
  const target = resolved(file, specifier);
  if (file === "main.ts") {
    return /^src\/(?:host\/|cli\/app\.ts$)/.test(target)
      ? null
      : `main.ts imports src/host and src/cli/app.ts only`;
  }
  if (!inSource) return null;
  if (!target.startsWith("src/")) return `${target}: the program imports nothing from outside src`;
  return floorRule(file, { target, typesOnly });
}

function floorRule(
  file: string,
  { target, typesOnly }: { target: string; typesOnly: boolean },
): string | null {
  const [from, to] = [folderOf(file), folderOf(target)];
  if (to === "" || from === to) return null;
  const [above, below] = [floorOf(from), floorOf(to)];
  if (above === -1 || below === -1) return `src/${above === -1 ? from : to} has no place in the house`;
  if (above >= below) return `src/${from} may not import src/${to}`;
  if (to !== "host" || target === "src/host/host.ts" || typesOnly) return null;
  return `${target}: outside src/host only the interface src/host/host.ts is imported, or types`;
}

function useRule(
  file: string,
  { tokens, index }: { tokens: readonly Token[]; index: number },
): string | null {
  const token = tokens[index];
  if (token === undefined || token.kind !== "word") return null;
  const [before, after] = [tokens[index - 1], tokens[index + 1]];
  const name = token.text;
  if (
    name === "signal" && isSign(before, ".") && isSign(after, "(") &&
    /^#?processes$/.test(wordAt(tokens, index - 2))
  ) {
    return file === signalFile ? null : `signals are sent by ${signalFile} only`;
  }
  // Another object's member, or a key.
  if (isSign(before, ".") || isSign(after, ":") && !isSign(before, "?")) return null;
  const says = (what: string) => `${what}: only src/host touches the machine`;
  if (machineNames.has(name)) return says(name);
  const member = isSign(after, ".") ? wordAt(tokens, index + 2) : "";
  if (member !== "" && machineMembers[name]?.includes(member) && !isBound(tokens, name)) {
    return says(`${name}.${member}`);
  }
  if (name === "fetch" && isSign(after, "(") && wordAt(tokens, index - 1) !== "function") {
    return says("fetch()");
  }
  const isMade = wordAt(tokens, index - 1) === "new";
  if (isMade && machineClasses.has(name)) return says(`new ${name}()`);
  const isEmpty = !isSign(after, "(") || isSign(tokens[index + 2], ")");
  if (name === "Date" && isMade && isEmpty) return says("new Date() without a time");
  return null;
}

/** Whether the file gives the name a meaning of its own somewhere: as a variable, or as an arrow function's parameter. */
function isBound(tokens: readonly Token[], name: string): boolean {
  return tokens.some((token, index) => {
    if (token.kind !== "word" || token.text !== name) return false;
    if (/^(?:const|let|var)$/.test(wordAt(tokens, index - 1))) return true;
    const arrow = isSign(tokens[index + 1], ")") ? index + 2 : index + 1;
    return isSign(tokens[arrow], "=") && isSign(tokens[arrow + 1], ">");
  });
}

/** Everything that the file imports or passes on, `import()` with a fixed text included. */
function importsOf(tokens: readonly Token[]): Import[] {
  const found: Import[] = [];
  tokens.forEach(({ kind, text, line }, index) => {
    if (kind !== "word" || isSign(tokens[index - 1], ".")) return;
    if (text !== "import" && text !== "export") return;
    const next = tokens[index + 1];
    if (text === "import" && next?.kind === "string") {
      found.push({ specifier: next.text, line, typesOnly: false });
    } else if (text === "import" && isSign(next, "(")) {
      const path = tokens[index + 2];
      if (path?.kind === "string") found.push({ specifier: path.text, line, typesOnly: false });
    } else {
      const clause = clauseFrom(tokens, index + 1);
      if (clause !== null) found.push({ specifier: clause.specifier, line, typesOnly: clause.typesOnly });
    }
  });
  return found;
}

/** What stands between `import` or `export` and `from "…"`; null where it is no such statement. */
function clauseFrom(
  tokens: readonly Token[],
  start: number,
): { specifier: string; typesOnly: boolean } | null {
  for (let index = start; index < tokens.length; index++) {
    const token = tokens[index];
    if (token?.kind === "word" && token.text === "from") {
      const path = tokens[index + 1];
      if (path?.kind !== "string") return null;
      return { specifier: path.text, typesOnly: areTypes(tokens.slice(start, index)) };
    }
    if (token?.kind !== "word" && !(token?.kind === "sign" && "{},*".includes(token.text))) return null;
  }
  return null;
}

function areTypes(clause: readonly Token[]): boolean {
  const text = clause.map((token) => token.text).join(" ");
  if (/^type\b/.test(text)) return true;
  const inner = /^\{ (.*?)(?: ,)? \}$/.exec(text)?.[1];
  return inner !== undefined && inner.split(" , ").every((name) => name.startsWith("type "));
}

function isSign(token: Token | undefined, text: string): boolean {
  return token?.kind === "sign" && token.text === text;
}

function wordAt(tokens: readonly Token[], index: number): string {
  const token = tokens[index];
  return token?.kind === "word" ? token.text : "";
}

function resolved(file: string, specifier: string): string {
  return join(dirname(file), specifier).replaceAll("\\", "/");
}

/** The folder below src, "" for what lies in src itself. */
function folderOf(file: string): string {
  return /^src\/([^/]+)\//.exec(file)?.[1] ?? "";
}

function floorOf(folder: string): number {
  return floors.findIndex((folders) => folders.includes(folder));
}

async function main(): Promise<number> {
  const project = fromFileUrl(new URL("..", import.meta.url));
  const files = [join(project, "main.ts")];
  for (const folder of ["src", "tests", "scripts"]) {
    for await (const { path, isFile } of walk(join(project, folder), { exts: [".ts"] })) {
      if (isFile) files.push(path);
    }
  }
  let broken = 0;
  for (const path of files.sort()) {
    const file = relative(project, path).replaceAll("\\", "/");
    if (file.startsWith("src/ambient/")) continue;
    for (const { line, rule } of checkFile(file, await Deno.readTextFile(path))) {
      console.error(`${file}:${line}  ${rule}`);
      broken += 1;
    }
  }
  console.log(broken === 0 ? `${files.length} files keep to the house` : `${broken} violations`);
  return broken === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
