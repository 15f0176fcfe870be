/**
 * Finds files that import each other in a circle, types and late imports included: exit code 1 where there are any.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** What each file imports. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** Groups of files each of which reaches all others of its group. */
export function findCircles(graph: Graph): string[][] {
  const reachable = new Map([...graph.keys()].map((file) => [file, reachedFrom(graph, file)]));
  const circles = new Map<string, string[]>();
  for (const [file, reached] of reachable) {
    if (!reached.has(file)) continue;
    const circle = [...reached].filter((other) => reachable.get(other)?.has(file)).sort();
    circles.set(circle.join(), circle);
  }
  return [...circles.values()];
}

function reachedFrom(graph: Graph, start: string): Set<string> {
  const reached = new Set<string>();
  const open = [...graph.get(start) ?? []];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (reached.has(next)) continue;
    reached.add(next);
    open.push(...graph.get(next) ?? []);
  }
  return reached;
}

interface ModuleInfo {
  specifier: string;
  dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
}

async function graphOf(root: string, folder: string): Promise<Graph> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", root] }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: ModuleInfo[] };
  const own = modules.filter(({ specifier }) => specifier.startsWith(folder));
  return new Map(own.map(({ specifier, dependencies = [] }) => [
    specifier.slice(folder.length),
    dependencies.flatMap(({ code, type }) => code?.specifier ?? type?.specifier ?? [])
      .filter((each) => each.startsWith(folder)).map((each) => each.slice(folder.length)),
  ]));
}

if (import.meta.main) {
  const project = new URL("..", import.meta.url);
  const roots = ["main.ts", "src/link/mod.ts"].map((file) => fileURLToPath(new URL(file, project)));
  const graphs = await Promise.all(roots.map((root) => graphOf(root, project.href)));
  const circles = findCircles(new Map(graphs.flatMap((graph) => [...graph])));
  for (const circle of circles) console.error(`In a circle: ${circle.join(", ")}`);
  Deno.exit(circles.length === 0 ? 0 : 1);
}
