import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { sha256Hex } from "../../src/base/hash.ts";
import { VERSION } from "../../src/version.ts";
import { unless } from "../skip.ts";
import { binary, Foster } from "./harness.ts";

const SCRIPT = '#!/bin/sh\necho "foster 99.0.0"\n';

/** A release of one version on this machine. */
function serveRelease(version: string) {
  const names = ["foster-linux-x64", "foster-linux-arm64", "foster-macos-x64", "foster-macos-arm64"];
  const files = new Map<string, string>(names.map((name) => [name, SCRIPT]));
  files.set("VERSION", `${version}\n`);
  const sums = [...files].map(([name, text]) => `${sha256Hex(text)}  ${name}\n`).join("");
  files.set("SHA256SUMS", sums);
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const text = files.get(new URL(request.url).pathname.slice(1));
    return text === undefined ? new Response("none", { status: 404 }) : new Response(
      text,
      { headers: { "content-type": "application/octet-stream" } },
    );
  });
  return {
    env: { FOSTER_DOWNLOAD_BASE: `http://127.0.0.1:${server.addr.port}` },
    stop: () => server.shutdown(),
  };
}

Deno.test("version --check says whether a newer release is there, and what brings it", async () => {
  await using foster = await Foster.create();
  const plain = await foster.expect(0, ["version"]);
  assertEquals(plain.stdout, `foster ${VERSION}\n`);
  for (const [version, hasNewer] of [["99.0.0", true], [VERSION, false], ["0.0.1", false]] as const) {
    const { env, stop } = serveRelease(version);
    const result = await foster.expect(0, ["version", "--check", "--json"], { env });
    const { latest, update_available, command } = result.json<Record<string, unknown>>();
    assertEquals([latest, update_available], [version, hasNewer]);
    assertEquals(command, binary === null ? "git pull" : "foster update");
    await stop();
  }
  const nowhere = await foster.run(["version", "--check"], {
    env: { FOSTER_DOWNLOAD_BASE: "http://127.0.0.1:1" },
  });
  assertEquals(nowhere.code, 1);
  assertMatch(nowhere.stderr, /can't be reached/);
  const odd = await foster.run(["version", "--check"], { env: { FOSTER_DOWNLOAD_BASE: "http://a.example" } });
  assertMatch(odd.stderr, /neither an https address nor on this machine/);
});

Deno.test(
  unless(binary === null ? null : "it is a binary", "update says that it runs from source, and what to type"),
  async () => {
    await using foster = await Foster.create();
    const { code, stdout } = await foster.run(["update", "--json"]);
    const { updated, managed_by, command } = JSON.parse(stdout);
    assertEquals([code, updated, managed_by, command], [1, false, "source", "git pull"]);
  },
);

Deno.test(
  unless(binary === null ? "FOSTER_BIN names no binary" : null, "update replaces the binary it runs from"),
  async () => {
    assert(binary !== null);
    await using foster = await Foster.create();
    const own = join(foster.folder, "foster");
    await Deno.copyFile(binary, own);
    await Deno.chmod(own, 0o750);
    const { env, stop } = serveRelease("99.0.0");
    const options = { env, runner: { binary: own } };
    const older = serveRelease("0.0.1");
    const kept = await foster.run(["update"], { env: older.env, runner: { binary: own } });
    assertEquals(kept.code, 1);
    assertMatch(kept.stderr, /nothing was changed\n {2}foster update --to 0\.0\.1/);
    const result = await foster.expect(0, ["update", "--json"], options);
    assertEquals(result.json<Record<string, unknown>>()["version"], "99.0.0");
    assertEquals(await Deno.readTextFile(own), SCRIPT);
    assertEquals((await Deno.stat(own)).mode! & 0o777, 0o750);
    await Promise.all([stop(), older.stop()]);
  },
);
