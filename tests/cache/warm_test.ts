import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { warm, WarmError, type WarmOptions } from "../../src/cache/warm.ts";
import { FakeHost } from "../host/fake_host.ts";
import { HostError } from "../../src/host/host.ts";

function options(changes: Partial<WarmOptions> = {}): WarmOptions {
  const launch = { command: "/bin/npx", args: ["-y", "pkg@1"] };
  return { server: "docs", launch, cwd: "/project", env: { A: "1" }, timeoutMs: 5_000, ...changes };
}

async function failure(host: FakeHost, changes: Partial<WarmOptions> = {}): Promise<WarmError> {
  return await assertRejects(() => warm(host, options(changes)), WarmError) as unknown as WarmError;
}

Deno.test("warm() runs the tool in the server's folder and environment, and says what it fetched", async () => {
  const host = new FakeHost();
  const lines: string[] = [];
  host.processes.helper("/bin/npx", async (args, { cwd, env, timeoutMs }) => {
    assertEquals(args, ["--yes", "--package", "pkg@1", "--call", "exit 0"]);
    assertEquals({ cwd, env, timeoutMs }, { cwd: "/project", env: { A: "1" }, timeoutMs: 5_000 });
    await host.clock.advance(1_500);
    return { code: 0, stdout: "added 1\n", stderr: "npm notice\r\n" };
  });
  assertEquals(await warm(host, options({ log: (line) => lines.push(line) })), {
    fetched: true,
    what: "pkg@1",
    elapsedMs: 1_500,
    message: 'Fetched pkg@1 for "docs"',
  });
  assertEquals(lines, ["npm notice", "added 1"]);
});

Deno.test("warm() says so where there is nothing to fetch, and runs nothing", async () => {
  const found = await warm(
    new FakeHost(),
    options({ launch: { command: "/bin/node", args: ["server.js"] } }),
  );
  assertEquals([found.fetched, found.elapsedMs], [false, 0]);
  assertStringIncludes(
    found.message,
    'Nothing to fetch for "docs": node fetches nothing that foster knows of',
  );
});

Deno.test("warm() tells how the tool failed, and what to type", async () => {
  const host = new FakeHost();
  host.processes.helper(
    "/bin/npx",
    () => ({ code: 1, stderr: "npm error 404 Not Found\n\nnpm error pkg@1\n" }),
  );
  const lines: string[] = [];
  const { code, message, hint } = await failure(host, { log: (line) => lines.push(line) });
  assertEquals(code, "failed");
  assertEquals(
    message,
    'Cannot fetch pkg@1 for "docs": /bin/npx ended with code 1: npm error 404 Not Found; npm error pkg@1',
  );
  assertEquals(hint, 'run it by hand to see more: /bin/npx --yes --package pkg@1 --call "exit 0"');
  assertEquals(lines, ["npm error 404 Not Found", "npm error pkg@1"]);
});

Deno.test("warm() quotes the line that holds the error, wherever it stands", async () => {
  const host = new FakeHost();
  const stderr = "npm error 404 Not Found - GET /pkg\nbye\nbye\nbye\n";
  host.processes.helper("/bin/npx", () => ({ code: 1, stderr }));
  assertStringIncludes((await failure(host)).message, "code 1: npm error 404 Not Found - GET /pkg; bye; bye");
  // Some say it on stdout.
  host.processes.helper("/bin/npx", () => ({ code: 1, stdout: "no such package\n" }));
  assertStringIncludes((await failure(host)).message, "code 1: no such package");
});

const refusals: [code: HostError["code"], expected: WarmError["code"]][] = [
  ["timeout", "timeout"],
  ["not_found", "no_command"],
  ["no_permission", "no_command"],
  ["failed", "failed"],
];

for (const [code, expected] of refusals) {
  Deno.test(`warm() fails with ${expected} where the tool's run gives ${code}`, async () => {
    const host = new FakeHost();
    host.processes.helper("/bin/npx", () => {
      throw new HostError(code, "no such luck");
    });
    const error = await failure(host);
    assertEquals(error.code, expected);
    assertStringIncludes(error.message, 'Cannot fetch pkg@1 for "docs": ');
  });
}

Deno.test("warm() ends at once when it is aborted", async () => {
  const host = new FakeHost();
  const stop = new AbortController();
  host.processes.helper("/bin/npx", () => {
    stop.abort(new Error("enough"));
    return new Promise(() => {});
  });
  await assertRejects(() => warm(host, options({ signal: stop.signal })), Error, "enough");
});
