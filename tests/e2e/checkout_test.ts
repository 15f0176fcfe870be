import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { VERSION } from "../../src/version.ts";
import { missing, unless } from "../skip.ts";
import { Foster, npxReason } from "./harness.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

const noBun = await missing("bun") ?? await npxReason("zod");
Deno.test(unless(noBun, "Bun runs a checkout after bun install"), async () => {
  await using foster = await Foster.create();
  const checkout = join(foster.folder, "checkout");
  await copyFolder(join(ROOT, "src"), join(checkout, "src"));
  for (const file of ["main.ts", "package.json"]) {
    await Deno.copyFile(join(ROOT, file), join(checkout, file));
  }
  const bun = async (...args: string[]) => {
    const running = foster.startProgram("bun", args, { cwd: checkout });
    const { code, stdout, stderr } = await running.finish();
    assertEquals(code, 0, `bun ${args.join(" ")}\n${stdout}\n${stderr}`);
    return stdout;
  };
  await bun("install", "--no-summary");
  assertMatch(await bun("main.ts", "--version"), new RegExp(`^foster ${VERSION.replaceAll(".", "\\.")}\n$`));
  assertMatch(await bun("main.ts", "up", "demo"), /demo {2}ready/);
  assertMatch(await bun("main.ts", "down", "demo"), /demo {2}stopped/);
});
