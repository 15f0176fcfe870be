/**
 * The page as one document: its script and style stand in it, and its policy allows these two and nothing else.
 *
 * @module
 */
import { createHash } from "node:crypto";
import html from "./browser/page.html" with { type: "text" };
import style from "./browser/style.css" with { type: "text" };
import detail from "./browser/detail.js" with { type: "text" };
import elements from "./browser/elements.js" with { type: "text" };
import list from "./browser/list.js" with { type: "text" };
import logs from "./browser/logs.js" with { type: "text" };
import main from "./browser/main.js" with { type: "text" };
import panels from "./browser/panels.js" with { type: "text" };
import plots from "./browser/plots.js" with { type: "text" };
import store from "./browser/store.js" with { type: "text" };
import stream from "./browser/stream.js" with { type: "text" };
import texts from "./browser/texts.js" with { type: "text" };
import timeline from "./browser/timeline.js" with { type: "text" };
import tools from "./browser/tools.js" with { type: "text" };

/** Each after those that it imports. */
const MODULES = { texts, stream, elements, plots, timeline, store, panels, list, logs, tools, detail, main };

export interface PageDocument {
  html: string;
  /** Its Content-Security-Policy. */
  policy: string;
}

let made: PageDocument | null = null;

export function pageDocument(): PageDocument {
  return made ??= make();
}

function make(): PageDocument {
  const parts = Object.entries(MODULES).map(([name, source]) => asFunction(name, source));
  const script = `const modules = {};\n${parts.join("")}`;
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  const text = html
    .replace("<style></style>", () => `<style>${style}</style>`)
    .replace('<script type="module"></script>', () => `<script type="module">${script}</script>`);
  return { html: text, policy };
}

/**
 * A module as part of one script: a policy that names hashes allows no script that imports others. Only the forms of import
 * and export that the page's modules have are known.
 */
function asFunction(name: string, source: string): string {
  const exported = [...source.matchAll(/^export (?:async )?(?:class|const|function) (\w+)/gm)].map((
    [, each],
  ) => each);
  const body = source
    .replaceAll(/^import (\{[^}]*\}) from "\.\/(\w+)\.js";$/gm, "const $1 = modules.$2;")
    .replaceAll(/^export /gm, "");
  return `modules.${name} = (() => {\n${body}\nreturn { ${exported.join(", ")} };\n})();\n`;
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
