/**
 * The pages of docs/ that repeat what the program says of itself: `deno task docs` writes their generated parts, with
 * `--check` it only says which are out of date, with exit code 1.
 *
 * @module
 */
import { GLOBAL_OPTIONS, type OptionSpec } from "../src/cli/args.ts";
import type { Verb } from "../src/cli/verb.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { PRESETS } from "../src/definitions/presets.ts";
import { definitionJsonSchema } from "../src/definitions/schema.ts";
import { MEANINGLESS } from "./conformance.ts";
import { formatted, readPage, withPart, writePart } from "./marked_page.ts";

interface Part {
  page: string;
  name: string;
  text: string;
}

/** Of a JSON Schema, what a table shows. */
interface Schema {
  description?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
}

/** Every generated part, as it has to be now. */
export async function generatedParts(): Promise<Part[]> {
  const verbs = await Promise.all(Object.values(VERBS).map((load) => load()));
  return [
    { page: "docs/revisions.md", name: "meaningless", text: meaningless() },
    { page: "docs/verbs.md", name: "overview", text: overview(verbs) },
    { page: "docs/verbs.md", name: "everywhere", text: optionTable(GLOBAL_OPTIONS) },
    { page: "docs/verbs.md", name: "verbs", text: verbs.map(describe).join("\n\n") },
    { page: "docs/definitions.md", name: "keys", text: keyTable(serverSchema()) },
    { page: "docs/definitions.md", name: "presets", text: presetList() },
  ];
}

function overview(verbs: readonly Verb[]): string {
  const rows = verbs.map(({ name, summary }) => `| [\`${name}\`](#foster-${name}) | ${cell(summary)} |`);
  return ["| verb | what it does |", "| --- | --- |", ...rows].join("\n");
}

function describe(verb: Verb): string {
  const { name, summary, usage, details, options, examples } = verb;
  const lines = [`## foster ${name}`, "", `${summary[0]?.toUpperCase()}${summary.slice(1)}.`, ""];
  lines.push("```", ["foster", name, usage].filter((word) => word !== "").join(" "), "```", "");
  if (details !== undefined) lines.push(prose(details), "");
  if (options.length > 0) lines.push(optionTable(options), "");
  lines.push("```sh", ...examples.map(([command, what]) => `foster ${command}    # ${what}`), "```");
  return lines.join("\n");
}

function optionTable(options: readonly OptionSpec[]): string {
  const rows = options.map(({ name, value, alias, summary }) => {
    const long = `--${name}${value === undefined ? "" : ` ${value}`}`;
    const flag = alias === undefined ? `\`${cell(long)}\`` : `\`-${alias}\`, \`${cell(long)}\``;
    return `| ${flag} | ${cell(summary)} |`;
  });
  return ["| option | what it does |", "| --- | --- |", ...rows].join("\n");
}

function serverSchema(): Record<string, Schema> {
  const { $defs } = definitionJsonSchema() as { $defs: { server: Schema } };
  return $defs.server.properties ?? {};
}

/** Keys of inner objects stand below their object, as `outer.inner`. */
function keyTable(properties: Record<string, Schema>): string {
  const rows: string[] = [];
  const add = (key: string, schema: Schema) => {
    const inner = Object.entries(schema.properties ?? {});
    rows.push(
      `| \`${key}\` | ${cell(typeOf(schema))} | ${cell(defaultOf(schema))} | ${
        cell(schema.description ?? "")
      } |`,
    );
    for (const [name, below] of inner) add(`${key}.${name}`, below);
    for (const [name, below] of Object.entries(schema.items?.properties ?? {})) {
      add(`${key}[].${name}`, below);
    }
  };
  for (const [key, schema] of Object.entries(properties)) add(key, bare(schema));
  return ["| key | value | default | what it says |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** The object in a choice between an object and null. */
function bare(schema: Schema): Schema {
  const object = schema.anyOf?.find(({ properties }) => properties !== undefined);
  return object === undefined
    ? schema
    : { ...object, description: schema.description, default: schema.default };
}

function typeOf(
  { type, enum: values, const: only, anyOf, items, properties, minimum, maximum }: Schema,
): string {
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(", ");
  if (only !== undefined) return `\`${only}\``;
  if (anyOf !== undefined) {
    return [...new Set(anyOf.filter((each) => each.type !== "null").map(typeOf))].join(" or ");
  }
  if (properties !== undefined) return "object";
  const kind = Array.isArray(type) ? type.filter((each) => each !== "null").join(" or ") : type;
  if (kind === "array") {
    return items === undefined ? "list" : `list of ${typeOf(items)}`.replace(/ object$/, " objects");
  }
  if (kind === "string") return "text";
  if (kind !== "integer") return kind ?? "any";
  const isBounded = minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  return isBounded ? `${minimum}–${maximum}` : "number";
}

function defaultOf(schema: Schema): string {
  const value = schema.default;
  if (schema.properties !== undefined || value === undefined) return "";
  if (value === null) return "none";
  const isEmpty = typeof value === "object" && Object.keys(value).length === 0;
  return isEmpty ? "none" : `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

function presetList(): string {
  const rows = [...PRESETS.values()].map(({ name, summary }) => `| \`${name}\` | ${cell(summary)} |`);
  return ["| preset | what it is |", "| --- | --- |", ...rows].join("\n");
}

/** Help texts are broken for terminals; columns are shown as they are. */
function prose(text: string): string {
  return text.split("\n\n").map((block) =>
    /\S {2,}\S/.test(block) ? "```\n" + block + "\n```" : block.split("\n").join(" ")
  ).join("\n\n");
}

function meaningless(): string {
  const rows = MEANINGLESS.map(({ revision, scenario, reason }) =>
    `| ${revision} | \`${scenario}\` | ${cell(reason)} |`
  );
  return ["| suite | scenario | why |", "| --- | --- | --- |", ...rows].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");
}

/** The pages whose generated parts differ from what the program says. */
export async function outdatedPages(): Promise<string[]> {
  const outdated = new Set<string>();
  for (const { page, name, text } of await generatedParts()) {
    const present = await readPage(page);
    if (withPart(present, { name, text: await formatted(text) }) !== present) outdated.add(page);
  }
  return [...outdated];
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--check")) {
    const outdated = await outdatedPages();
    for (const page of outdated) console.error(`${page} is out of date: deno task docs writes it`);
    return outdated.length === 0 ? 0 : 1;
  }
  for (const { page, name, text } of await generatedParts()) {
    await writePart(page, { name, text: await formatted(text) });
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
