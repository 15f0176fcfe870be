import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { holdPidFile } from "../../src/demo/pid_file.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";

const host = await createDenoHost();

async function inTempDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("holdPidFile() creates the folders above and removes the file when released", async () => {
  await inTempDir(async (dir) => {
    const file = join(dir, "a", "b", "server.pid");
    const release = await holdPidFile(host, file);
    assertEquals(await host.files.readText(file), `${Deno.pid}\n`);
    await release();
    assertEquals(await host.files.readText(file), null);
  });
});

Deno.test("holdPidFile() overwrites the file when it is stale", async () => {
  await inTempDir(async (dir) => {
    const file = join(dir, "server.pid");
    await Deno.writeTextFile(file, "999999\nleft behind");
    const release = await holdPidFile(host, file);
    assertEquals(await host.files.readText(file), `${Deno.pid}\n`);
    await release();
  });
});

Deno.test("holdPidFile() leaves the file when it names another process by then", async () => {
  await inTempDir(async (dir) => {
    const file = join(dir, "server.pid");
    const release = await holdPidFile(host, file);
    await Deno.writeTextFile(file, "1\n");
    await release();
    assertEquals(await host.files.readText(file), "1\n");
  });
});

Deno.test("holdPidFile() releases quietly when the file is gone already", async () => {
  await inTempDir(async (dir) => {
    const file = join(dir, "server.pid");
    const release = await holdPidFile(host, file);
    await Deno.remove(file);
    await release();
  });
});

Deno.test("holdPidFile() expands ~ to the home folder", async () => {
  await inTempDir(async (dir) => {
    const env = { ...host.env, get: () => dir };
    const release = await holdPidFile({ ...host, env }, "~/run/server.pid");
    assertEquals(await host.files.readText(join(dir, "run", "server.pid")), `${Deno.pid}\n`);
    await release();
  });
});
