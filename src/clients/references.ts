/**
 * How clients refer to variables in their settings, and what foster writes for it.
 *
 * @module
 */

/**
 * `shell`: `${V}` and `${V:-d}`; `dollar`: `$V`; `percent`: `%V%`; `prefixed`: `${env:V}`; `asked`: `${input:id}`;
 * `folders`: `${workspaceFolder}` and the like; `file`: `${file:PATH}`; `braces`: `{env:V}` and `{file:PATH}`;
 * `secrets`: `${{ secrets.V }}`.
 */
export type ReferenceForm =
  | "shell"
  | "dollar"
  | "percent"
  | "prefixed"
  | "asked"
  | "folders"
  | "file"
  | "braces"
  | "secrets";

const NAME = "[A-Za-z_][A-Za-z0-9_]*";

const PATTERNS: Readonly<Record<ReferenceForm, string>> = {
  secrets: String.raw`\$\{\{\s*(?:secrets|inputs)\.(?<secret>[\w.-]+)\s*\}\}`,
  prefixed: String.raw`\$\{env:(?<prefixed>${NAME})\}`,
  asked: String.raw`\$\{(?:input|prompt):(?<asked>[^{}]+)\}`,
  folders: String
    .raw`\$\{(?<folder>workspaceFolder(?:Basename)?|workspaceRoot|workspaceFolder:[^{}]*|userHome|pathSeparator|\/)\}`,
  file: String.raw`\$\{file:(?<file>[^{}]+)\}`,
  shell: String.raw`\$\{(?<shell>${NAME})(?::-(?<fallback>[^{}]*))?\}`,
  braces: String.raw`\{env:(?<braced>${NAME})\}|\{file:(?<bracedFile>[^{}]+)\}`,
  dollar: String.raw`\$(?<dollar>${NAME})`,
  percent: String.raw`%(?<percent>${NAME})%`,
};

/** All that a client takes for a reference, as one global pattern; null where it knows none. */
export function referencePattern(forms: readonly ReferenceForm[]): RegExp | null {
  const order = Object.keys(PATTERNS) as ReferenceForm[];
  const used = order.filter((form) => forms.includes(form)).map((form) => PATTERNS[form]);
  return used.length === 0 ? null : new RegExp(used.join("|"), "g");
}

/** A variable's name from any words: `data-folder` is `DATA_FOLDER`, `exaApiKey` is `EXA_API_KEY`. */
export function variableName(words: string): string {
  return words.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").replaceAll(/[^A-Za-z0-9]+/g, "_").toUpperCase()
    .replace(/^_+|_+$/g, "").replace(/^(?=[0-9]|$)/, "_");
}

export interface ReferenceContext {
  /** Is told of what changes. */
  note(text: string): void;
  /** The folder of the workspace that the settings belong to, where the definition file stands elsewhere; else null. */
  workspace: string | null;
}

/** The client's references as foster's variables; everything else stays a literal text. */
export function translateReferences(
  text: string,
  pattern: RegExp | null,
  { note, workspace }: ReferenceContext,
): string {
  if (pattern === null) return literal(text);
  let [translated, from] = ["", 0];
  for (const match of text.matchAll(pattern)) {
    translated += literal(text.slice(from, match.index)) + fosterText(match, { note, workspace });
    from = match.index + match[0].length;
  }
  return translated + literal(text.slice(from));
}

/** foster's own variables do not exist in other programs' settings. */
function literal(text: string): string {
  return text.replaceAll("${", () => "$${");
}

function fosterText(
  { 0: whole, groups = {} }: RegExpMatchArray,
  { note, workspace }: ReferenceContext,
): string {
  const { asked, secret, folder, fallback } = groups;
  const name = groups["prefixed"] ?? groups["shell"] ?? groups["braced"] ?? groups["dollar"] ??
    groups["percent"];
  if (name !== undefined) return `\${env:${name}${fallback === undefined ? "" : `:-${fallback}`}}`;
  if (asked !== undefined || secret !== undefined) {
    const variable = variableName(asked ?? secret ?? "");
    const why = asked === undefined ? `${whole} is kept elsewhere` : "it was asked for at each start";
    note(`set ${variable} in your environment: ${why}`);
    return `\${env:${variable}}`;
  }
  const file = groups["file"] ?? groups["bracedFile"];
  if (file !== undefined) {
    note(`${whole} became the output of cat`);
    return `\${cmd:cat ${/^[\w@%+=:,./~-]+$/.test(file) ? file : `'${file}'`}}`;
  }
  switch (folder) {
    case "userHome":
      return "${env:HOME}";
    case "pathSeparator":
    case "/":
      return "/";
    default:
      if (workspace !== null && !/Basename/.test(folder ?? "")) return literal(workspace);
      note(`${whole} became \${configDir}, the folder of the definition file`);
      return "${configDir}";
  }
}
