import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { bunPath } from "../../scripts/bun_tool.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";
import { type CaseResult, contractCases, floodText, realCases, runCase } from "./contract.ts";
import { unless } from "../skip.ts";
import { FakeHost } from "./fake_host.ts";

type Command = readonly [string, ...string[]];

const system = Deno.build.os === "windows" || Deno.build.os === "darwin" ? Deno.build.os : "linux";

/** The children's programs, found the way a permission names them: on PATH. */
const tools = { CONTRACT_DENO: await onPath("deno"), CONTRACT_SHELL: await onPath("sh") };

/** Wine's PowerShell prints nothing at all. */
const noHelpers = system === "windows" && !await answers("powershell", ["-NoProfile", "-Command", "'here'"])
  ? "PowerShell does not answer"
  : null;

async function answers(command: string, args: string[]): Promise<boolean> {
  const output = await new Deno.Command(command, { args, stderr: "null" }).output().catch(() => null);
  return output !== null && new TextDecoder().decode(output.stdout).trim() === "here";
}

const denoRunner: Command = ["deno", "run", "-A", "-q", fileBeside("deno_runner.ts")];

Deno.test("the fake host keeps the contract", async (t) => {
  for (const [number, each] of contractCases.filter(({ real }) => real === undefined).entries()) {
    const host = new FakeHost({ env: { PATH: "/usr/bin", CONTRACT_DENO: "/usr/bin/deno" } });
    await t.step(each.name, () =>
      runCase(each, {
        host,
        folder: "/tmp",
        number,
        link: (target, path) => host.files.putLink(path, target),
      }));
  }
});

Deno.test("the Deno host keeps the contract with all permissions", async (t) => {
  await withFolder(async (folder) => {
    for (const [name, value] of Object.entries(tools)) Deno.env.set(name, value);
    const host = await createDenoHost();
    for (const [number, each] of realCases(system).entries()) {
      await t.step(each.name, () => runCase(each, { host, folder, number }));
    }
  });
});

Deno.test(unless(noHelpers, "the Deno host keeps the contract with scoped permissions"), async (t) => {
  const runner: Command = ["deno", "run", "-q", "--no-prompt", ...scopedFlags, fileBeside("deno_runner.ts")];
  await withFolder((folder) => stepThrough(t, { runner, folder }));
});

Deno.test("the Bun host keeps the contract", async (t) => {
  await withFolder(async (folder) => stepThrough(t, { runner: await bunRunner(folder), folder }));
});

Deno.test("tryLock() excludes other processes, whatever their engine, until the holder lets go or is killed", async (t) => {
  await withFolder(async (folder) => {
    const runners: Record<string, Command> = { Deno: denoRunner, Bun: await bunRunner(folder) };
    for (const [holderName, holder] of Object.entries(runners)) {
      for (const [otherName, other] of Object.entries(runners)) {
        await t.step(`${holderName} holds, ${otherName} tries`, async () => {
          const lock = join(folder, `${holderName}-${otherName}`);
          for (const how of ["ends", "is killed"]) {
            await using child = start(holder, ["hold", lock]);
            assertEquals(await child.line(), "held");
            assertEquals(await outputOf(other, ["try", lock]), "taken\n");
            if (how === "ends") await child.closeInput();
            else child.kill();
            await child.status;
            assertEquals(await outputOf(other, ["try", lock]), "free\n", `after the holder ${how}`);
          }
        });
      }
    }
  });
});

Deno.test({
  name: "tryLock() is not handed on to a detached child",
  ignore: Deno.build.os === "windows",
  async fn(t) {
    await withFolder(async (folder) => {
      const runners: Record<string, Command> = { Deno: denoRunner, Bun: await bunRunner(folder) };
      for (const [name, runner] of Object.entries(runners)) {
        await t.step(`${name} is killed and its child lives on`, async () => {
          const [lock, log] = [join(folder, `${name}-lock`), join(folder, `${name}-log`)];
          await using holder = start(runner, ["leave", lock, log]);
          const childPid = Number(await holder.line());
          try {
            assertEquals(await outputOf(runner, ["try", lock]), "taken\n");
            holder.kill();
            await holder.status;
            assertEquals(await outputOf(runner, ["try", lock]), "free\n");
          } finally {
            // Throws where the child has not lived on.
            Deno.kill(childPid, "SIGKILL");
          }
        });
      }
    });
  },
});

Deno.test("terminal.out() writes all of it to a slow reader, and nothing is wrong when nobody reads", async (t) => {
  await eachEngine(t, async (runner) => {
    {
      await using slow = start(runner, ["flood"]);
      const first = await slow.line();
      assertEquals(`${first}\n${await slow.rest()}`, floodText);
      assertEquals((await slow.status).code, 0);
    }
    await using alone = start(runner, ["flood"]);
    await alone.line();
    await alone.stopReading();
    assertEquals((await alone.status).code, 0);
  });
});

Deno.test("terminal.stdin and terminal.stdout hand on every byte, each when it comes", async (t) => {
  await eachEngine(t, async (runner) => {
    await using child = start(runner, ["pass"]);
    await child.write("first ü\n");
    assertEquals(await child.line(), "first ü");
    const rest = child.rest();
    await child.write(floodText);
    await child.closeInput();
    assertEquals(await rest, floodText);
    assertEquals((await child.status).code, 0);
  });
});

Deno.test("serve() under Bun ends connections whose headers do not come, ten thousand of them as far as there are files, and answers others meanwhile", async () => {
  await withFolder(async (folder) => {
    await using server = start(await bunRunner(folder), ["serve"]);
    const port = Number(await server.line());
    const head = new TextEncoder().encode("POST / HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    const silent: Deno.TcpConn[] = [];
    try {
      while (silent.length < 10_000) {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => null);
        // No more files: what is open is enough, and the answer below needs one.
        if (connection === null) break;
        silent.push(connection);
        if (silent.length % 2 === 0) await connection.write(head);
      }
      for (const spare of silent.splice(-10)) spare.close();
      assert(silent.length > 100, `only ${silent.length} connections`);
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      assertEquals([answer.status, await answer.text()], [200, "here"]);
      const ended = Promise.all(silent.map((each) => each.read(new Uint8Array(1)).catch(() => null)));
      const deadline = AbortSignal.timeout(40_000);
      const late = new Promise<"late">((resolve) =>
        deadline.addEventListener("abort", () => resolve("late"))
      );
      const read = await Promise.race([ended, late]);
      assert(read !== "late", "connections without headers stay open");
      assertEquals(read.every((count) => count === null), true);
    } finally {
      for (const each of silent) each.close();
    }
  });
});

async function eachEngine(t: Deno.TestContext, check: (runner: Command) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await t.step("Deno", () => check(denoRunner));
    const bun = await bunRunner(folder);
    await t.step("Bun", () => check(bun));
  });
}

/** Runs all cases in one process and reports each as a step of its own. */
async function stepThrough(t: Deno.TestContext, on: { runner: Command; folder: string }): Promise<void> {
  const output = await outputOf(on.runner, ["cases", on.folder]);
  const results = new Map(
    output.trimEnd().split("\n").filter((line) => line.startsWith("{")).map((line) => {
      const result: CaseResult = JSON.parse(line);
      return [result.name, result];
    }),
  );
  for (const { name } of realCases(system)) {
    await t.step(name, () => {
      const result = results.get(name);
      assert(result !== undefined, `the runner did not come to this case; it said:\n${output}`);
      if (result.error !== null) throw new Error(result.error);
    });
  }
}

/** Bundled as foster itself is. */
async function bunRunner(folder: string): Promise<Command> {
  // Made beforehand where the bundler can't be had.
  const made = Deno.env.get("CONTRACT_BUN_RUNNER");
  if (made !== undefined) return [await bunPath(), made];
  const out = join(folder, "runner");
  await outputOf(["deno", "bundle", "-q", "--code-splitting", "--outdir", out], [
    fileBeside("bun_runner.ts"),
  ]);
  return [await bunPath(), join(out, "bun_runner.js")];
}

async function outputOf([command, ...first]: Command, args: readonly string[]): Promise<string> {
  const child = new Deno.Command(command, { args: [...first, ...args], env: tools, stderr: "inherit" });
  return new TextDecoder().decode((await child.output()).stdout);
}

/** A child that is talked to and that is gone afterwards. */
function start([command, ...first]: Command, args: readonly string[]) {
  const child = new Deno.Command(command, {
    args: [...first, ...args],
    env: tools,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream());
  const reader = lines.getReader();
  const writer = child.stdin.getWriter();
  let unread = "";
  let ended = false;
  const status = child.status.finally(() => {
    ended = true;
  });
  return {
    status,
    async line(): Promise<string> {
      while (!unread.includes("\n")) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`${command} ended after ${JSON.stringify(unread)}`);
        unread += value;
      }
      const end = unread.indexOf("\n");
      const line = unread.slice(0, end);
      unread = unread.slice(end + 1);
      return line;
    },
    async rest(): Promise<string> {
      for (let next = await reader.read(); !next.done; next = await reader.read()) unread += next.value;
      return unread;
    },
    stopReading: () => reader.cancel(),
    write: (text: string) => writer.write(new TextEncoder().encode(text)),
    closeInput: () => writer.close(),
    kill: () => child.kill("SIGKILL"),
    async [Symbol.asyncDispose](): Promise<void> {
      if (!ended) child.kill("SIGKILL");
      await status;
      await reader.cancel();
      await writer.close().catch(() => {});
    },
  };
}

async function onPath(name: string): Promise<string> {
  const windows = Deno.build.os === "windows";
  for (const folder of (Deno.env.get("PATH") ?? "").split(windows ? ";" : ":")) {
    const path = join(folder, windows ? `${name}.exe` : name);
    const found = await Deno.stat(path).catch(() => null);
    if (found?.isFile) return path;
  }
  return "";
}

function fileBeside(name: string): string {
  return fromFileUrl(new URL(name, import.meta.url));
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "foster-contract-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
