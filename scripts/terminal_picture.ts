/**
 * Runs a short real session of foster on a terminal and draws what it printed: `docs/terminal.svg`. The terminal comes
 * from `script`, as Linux has it. Uses a state folder of its own, which is removed at the end.
 *
 * @module
 */
import { dirname, fromFileUrl, join } from "@std/path";

const project = fromFileUrl(new URL("..", import.meta.url));
const session = ["foster up demo", "foster status demo", "foster ps", "foster down demo"];

type Colour = "plain" | "dim" | "red" | "green" | "yellow";

interface Span {
  text: string;
  colour: Colour;
}

type Line = readonly Span[];

const COLOURS: Record<Colour, string> = {
  plain: "#d8dee9",
  dim: "#7b8494",
  red: "#e06c75",
  green: "#98c379",
  yellow: "#e5c07b",
};
const SGR: Readonly<Record<string, Colour>> = { "2": "dim", "31": "red", "32": "green", "33": "yellow" };

const CHARACTER = { width: 8.43, height: 20 };
const MARGIN = 18;
const TITLE_HEIGHT = 30;

/** The lines that are left on a terminal, with their colours. Progress that was overwritten is gone. */
export function linesOf(output: string): Line[] {
  return output.replaceAll("\r\n", "\n").trimEnd().split("\n").map((raw) => {
    // deno-lint-ignore no-control-regex
    const text = raw.split(/\r?\x1b\[2K/).at(-1) ?? "";
    const spans: Span[] = [];
    let colour: Colour = "plain";
    // deno-lint-ignore no-control-regex
    for (const part of text.split(/(\x1b\[[0-9;]*m)/)) {
      // deno-lint-ignore no-control-regex
      const code = /^\x1b\[([0-9;]*)m$/.exec(part)?.[1];
      if (code !== undefined) colour = SGR[code] ?? "plain";
      else if (part !== "") spans.push({ text: part, colour });
    }
    return spans;
  });
}

/** A window with the lines in it. */
function drawing(lines: readonly Line[]): string {
  const columns = Math.max(...lines.map((line) => [...line.map(({ text }) => text).join("")].length));
  const width = Math.ceil(columns * CHARACTER.width + 2 * MARGIN);
  const height = TITLE_HEIGHT + lines.length * CHARACTER.height + 2 * MARGIN;
  const texts = lines.flatMap((line, row) =>
    wordsOf(line).map(({ text, colour, column }) => {
      const [x, y] = [
        MARGIN + column * CHARACTER.width,
        TITLE_HEIGHT + MARGIN + (row + 0.75) * CHARACTER.height,
      ];
      return `  <text x="${x.toFixed(1)}" y="${y}" fill="${COLOURS[colour]}">${escaped(text)}</text>`;
    })
  );
  const buttons = ["#e06c75", "#e5c07b", "#98c379"].map((fill, index) =>
    `  <circle cx="${MARGIN + 6 + index * 20}" cy="${TITLE_HEIGHT / 2 + 4}" r="6" fill="${fill}"/>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"` +
    ` role="img" aria-label="foster starts, shows and stops a server" font-size="14"` +
    ` font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace">`,
    `  <rect width="${width}" height="${height}" rx="8" fill="#22262e"/>`,
    ...buttons,
    ...texts,
    "</svg>",
    "",
  ].join("\n");
}

/** The pieces between wider gaps, each with the column that it begins in: a picture knows no runs of spaces. */
function wordsOf(line: Line): (Span & { column: number })[] {
  let column = 0;
  return line.flatMap(({ text, colour }) => {
    const words = [...text.matchAll(/\S+(?: \S+)*/g)].map(({ 0: word, index }) => ({
      text: word,
      colour,
      column: column + index,
    }));
    column += [...text].length;
    return words;
  });
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Runs the session in a folder of its own and gives its lines. @throws Error where a command fails */
async function record(folder: string): Promise<Line[]> {
  const bin = join(folder, "bin");
  await Deno.mkdir(bin);
  const words = [Deno.execPath(), "run", "-q", "-A", "--config", join(project, "deno.json")];
  const command = [...words, join(project, "main.ts")].map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(join(bin, "foster"), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) =>
    !/^(?:FOSTER_.*|INIT_CWD|NO_COLOR)$/.test(name)
  );
  const env: Record<string, string> = {
    ...Object.fromEntries(inherited),
    PATH: `${bin}:${Deno.env.get("PATH") ?? ""}`,
    TERM: "xterm",
    FOSTER_STATE_DIR: join(folder, "state"),
  };
  try {
    return await typeAll({ folder, env });
  } finally {
    // Nothing is left to stop where all went well.
    await new Deno.Command(join(bin, "foster"), { args: ["down", "--all"], clearEnv: true, env }).output();
  }
}

async function typeAll({ folder, env }: { folder: string; env: Record<string, string> }): Promise<Line[]> {
  const lines: Line[] = [];
  for (const typed of session) {
    const { success, stdout } = await new Deno.Command("script", {
      args: ["-q", "-e", "-c", `stty cols 120; ${typed}`, "/dev/null"],
      cwd: folder,
      clearEnv: true,
      env,
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stdout).replaceAll(folder, "~");
    if (!success) throw new Error(`${typed} failed:\n${text}`);
    if (lines.length > 0) lines.push([]);
    lines.push([{ text: "$ ", colour: "dim" }, { text: typed, colour: "plain" }], ...linesOf(text));
  }
  return lines;
}

async function main(): Promise<number> {
  const out = Deno.args[0] ?? join(project, "docs", "terminal.svg");
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-picture-" }));
  try {
    const lines = await record(folder);
    await Deno.mkdir(dirname(out), { recursive: true });
    await Deno.writeTextFile(out, drawing(lines));
    await new Deno.Command(Deno.execPath(), {
      args: ["fmt", "-q", "--config", join(project, "deno.json"), out],
    }).output();
    console.log(out);
    return 0;
  } catch (error) {
    console.error(`Cannot draw the session: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
