/**
 * Pages of which a part is generated: it stands between two equal comments, `<!-- NAME -->`.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";

const project = fromFileUrl(new URL("..", import.meta.url));

/** `page` with `text` between its two marks. @throws Error where there are not two */
export function withPart(page: string, { name, text }: { name: string; text: string }): string {
  const mark = `<!-- ${name} -->`;
  const pieces = page.split(mark);
  const [before, , after] = pieces;
  if (pieces.length !== 3) {
    throw new Error(`a page has to have ${mark} twice: before and after the generated part`);
  }
  return `${before}${mark}\n\n${text}\n\n${mark}${after}`;
}

/** `page` is relative to the project. */
export async function readPage(page: string): Promise<string> {
  return await Deno.readTextFile(join(project, page));
}

/** `page` is relative to the project. */
export async function writePart(page: string, part: { name: string; text: string }): Promise<void> {
  await Deno.writeTextFile(join(project, page), withPart(await readPage(page), part));
}

/** As the gate wants Markdown. */
export async function formatted(text: string): Promise<string> {
  const args = ["fmt", "-q", "--config", join(project, "deno.json"), "--ext", "md", "-"];
  const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("the page cannot be formatted");
  return new TextDecoder().decode(stdout).trimEnd();
}
