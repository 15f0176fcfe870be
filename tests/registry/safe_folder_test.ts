import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { StateFolderError } from "../../src/registry/safe_folder.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";

const signal = new AbortController().signal;

function place(): { host: FakeHost; lock: () => Promise<unknown> } {
  const host = new FakeHost();
  host.files.putDir("/state/servers/docs");
  return { host, lock: () => new StateFolder(host, "/state").server("docs").lock({ waitMs: 0, signal }) };
}

const UNSAFE: { name: string; arrange(host: FakeHost, path: string): unknown; says: string; fix: string }[] =
  [
    {
      name: "belongs to another user",
      arrange: (host, path) => host.files.setOwner(path, 4711),
      says: "belongs to another user (4711)",
      fix: "--state-dir",
    },
    {
      name: "everybody may write to",
      arrange: (host, path) => host.files.chmod(path, 0o777),
      says: "everybody may write to",
      fix: "chmod go-w ",
    },
  ];
for (const path of ["/state", "/state/servers", "/state/servers/docs"]) {
  for (const { name, arrange, says, fix } of UNSAFE) {
    Deno.test(`lock() refuses where ${name} ${path}`, async () => {
      const { host, lock } = place();
      await arrange(host, path);
      const error = await assertRejects(lock, StateFolderError, says);
      assertStringIncludes(error.message, JSON.stringify(path));
      assertStringIncludes(error.hint, fix);
    });
  }
}

for (const path of ["/state/servers", "/state/servers/docs"]) {
  Deno.test(`lock() follows no link in place of ${path}`, async () => {
    const { host, lock } = place();
    await host.files.removeTree(path);
    host.files.putDir("/elsewhere/docs");
    host.files.putLink(path, "/elsewhere");
    await assertRejects(lock, StateFolderError, "it is a link");
    assertEquals(host.files.paths().filter((each) => each.startsWith("/elsewhere")), []);
  });
}

Deno.test("lock() lets a user's own link to the state folder, a group and a missing folder pass", async () => {
  const { host } = place();
  await host.files.chmod("/state", 0o770);
  host.files.putLink("/link", "/state");
  const lock = (path: string) => new StateFolder(host, path).server("docs").lock({ waitMs: 0, signal });
  assertEquals(await lock("/link") === null, false);
  assertEquals(await lock("/new") === null, false);
});

Deno.test("lock() asks nothing where the system has no owners", async () => {
  const host = new FakeHost({ system: "windows" });
  host.files.putDir("/state/servers/docs");
  host.files.setOwner("/state", 4711);
  const lock = await new StateFolder(host, "/state").server("docs").lock({ waitMs: 0, signal });
  assertEquals(lock === null, false);
});
