import { assertEquals, assertStringIncludes } from "@std/assert";
import { Foster, until } from "./harness.ts";
import type { Running } from "./running.ts";

async function line(link: Running, type: string): Promise<Record<string, unknown>> {
  return JSON.parse(await link.stdoutLine(new RegExp(`"type":"${type}"`)));
}

/** The types of the lines so far, log lines left out. */
function typesOf(link: Running): string[] {
  return link.stdout.trim().split("\n").map((text): string => JSON.parse(text).type).filter((type) =>
    type !== "log"
  );
}

Deno.test("link registers, answers commands, outlives a restart of the server and closes cleanly", async () => {
  await using foster = await Foster.create();
  await foster.expect(0, ["up", "demo"]);
  const link = foster.start(["link", "demo", "--project", "/tmp/My Game"], { stdin: true });
  const verdict = await line(link, "verdict");
  assertEquals([verdict.state, verdict.actual], ["ready", verdict.expected]);
  assertEquals(typesOf(link).slice(0, 3), ["open", "ack", "verdict"]);
  assertStringIncludes(String((await line(link, "open")).session_id), "my-game@");

  await foster.expect(0, ["restart", "demo"]);
  await line(link, "reconnecting");
  const again = /"type":"verdict"[^]*"type":"verdict"/;
  await until(`a second verdict after ${link.stdout}`, () => again.test(link.stdout));

  await link.write('{"type":"close"}\n');
  const { code } = await link.finish(5_000);
  assertEquals(code, 0);
});

Deno.test("link leaves a server of another version alone, notes it, and says what to type", async () => {
  await using foster = await Foster.create();
  await foster.define({
    old: { extends: "demo", args: ["demo-server", "--port", "${port}", "--ws-port", "${wsPort}"] },
  });
  await foster.expect(0, ["up", "old"]);
  // The definition changes under the running server.
  await foster.define({
    old: {
      extends: "demo",
      args: ["demo-server", "--port", "${port}", "--ws-port", "${wsPort}"],
      version: "9.9.9",
    },
  });
  const link = foster.start(["link", "old"], { stdin: true });
  const { code, stderr } = await link.finish(10_000);
  assertEquals(code, 13);
  assertStringIncludes(stderr, "9.9.9");
  assertStringIncludes(stderr, "foster ");
  const verdict = await line(link, "verdict");
  assertEquals([verdict.state, verdict.expected], ["incompatible", "9.9.9"]);
});

Deno.test("link of a server without a WebSocket side is a usage error", async () => {
  await using foster = await Foster.create();
  const { stderr } = await foster.expect(2, ["link", "everything"]);
  assertStringIncludes(stderr, "wsPort");
});
