/**
 * What the benchmark measures. Each function takes its own figures and leaves no server behind.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { atMost, type Figure, type Taken } from "./figures.ts";
import { cpuMs, pause } from "./machine.ts";
import { type Bench, repeat, type Row } from "./program.ts";

const lateServer = fromFileUrl(new URL("late_server.ts", import.meta.url));
const tenServers = Array.from({ length: 10 }, (_, index) => `s${index}`);

/** Ten demo servers: how long they take side by side, and what `ps` costs with their records. */
export async function tenRecords(bench: Bench): Promise<Taken[]> {
  const { name } = bench.program;
  await bench.define(Object.fromEntries(tenServers.map((each) => [each, { extends: "demo" }])));
  try {
    const ratios: number[] = [];
    for (let run = 0; run < 3; run++) {
      const { ms, stdout } = await bench.expect(0, "up", "--json");
      const rows: Row[] = JSON.parse(stdout).servers;
      ratios.push(ms / Math.max(...rows.map((row) => row.elapsed_ms)));
      if (run < 2) await bench.expect(0, "down");
    }
    const found: Taken[] = [
      {
        what: `${name}: up of 10 servers, against the slowest`,
        unit: "×",
        goal: atMost(1.5),
        values: ratios,
      },
    ];
    if (name !== "binary") return found;
    const psTimes = await repeat(40, async () => (await bench.expect(0, "ps")).ms);
    const versionTimes = await repeat(40, async () => (await bench.expect(0, "--version")).ms);
    found.push(
      { what: `${name}: ps with 10 records`, unit: "ms", goal: atMost(15), values: psTimes },
      await memory(bench, ["ps"]),
      { what: `${name}: --version`, unit: "ms", goal: atMost(8), values: versionTimes },
    );
    return found;
  } finally {
    await bench.foster("down", "--all");
  }
}

async function memory(bench: Bench, args: string[]): Promise<Taken> {
  const what = `${bench.program.name}: memory of ${args.join(" ")} with 10 records`;
  try {
    const values = await repeat(5, async () => {
      const { stderr } = await bench.time(["/usr/bin/time", "-f", "%M", ...bench.program.command, ...args]);
      return Number(stderr.trim().split("\n").at(-1)) / 1024;
    });
    return { what, unit: "MiB", goal: atMost(40), values };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { what, why: "/usr/bin/time is missing" };
    throw error;
  }
}

/** `up` of a server that is up, against the runtime's own start with nothing to do. */
export async function upAgain(bench: Bench): Promise<Figure> {
  await bench.define({ demo: { extends: "demo" } });
  await bench.expect(0, "up", "demo");
  try {
    const values = await repeat(20, async () => {
      const empty = await bench.time(bench.program.empty);
      return (await bench.expect(0, "up", "demo")).ms - empty.ms;
    });
    const what = `${bench.program.name}: up of what is up, beyond an empty start`;
    return { what, unit: "ms", goal: atMost(60), values };
  } finally {
    await bench.foster("down", "--all");
  }
}

/** How long after a server's first good answer foster calls it ready. */
export async function readySeen(bench: Bench): Promise<Figure> {
  const file = join(bench.folder, "first_answer");
  await bench.define({ late: late({ delayMs: 700, file }) });
  try {
    const values = await repeat(6, async () => {
      const { stdout } = await bench.expect(0, "up", "late", "--json");
      const [row]: Row[] = JSON.parse(stdout).servers;
      const record = JSON.parse(await Deno.readTextFile(join(row?.log ?? "", "..", "record.json")));
      const lateMs = Date.parse(record.ready_at) - Number(await Deno.readTextFile(file));
      await bench.expect(0, "down", "late");
      return lateMs;
    });
    const what = `${bench.program.name}: ready seen after the first answer`;
    return { what, unit: "ms", goal: atMost(30), values };
  } finally {
    await bench.foster("down", "--all");
  }
}

/** How much of a core `up` and its helper programs take while they wait for a slow server. */
export async function waiting(bench: Bench): Promise<Taken> {
  const what = `${bench.program.name}: share of a core while waiting 5 s`;
  if (Deno.build.os !== "linux") return { what, why: "measured on Linux only" };
  await bench.define({ slow: late({ delayMs: 6500, file: join(bench.folder, "slow_answer") }) });
  const child = bench.spawn([...bench.program.command, "up", "slow"]);
  try {
    await pause(1000);
    const before = await cpuMs(child.pid, { withChildren: true });
    const startedAt = performance.now();
    await pause(5000);
    const share = (await cpuMs(child.pid, { withChildren: true }) - before) / (performance.now() - startedAt);
    return { what, unit: "%", goal: atMost(5), values: [share * 100] };
  } finally {
    await child.output();
    await bench.foster("down", "--all");
  }
}

/** How long it takes to say that somebody else has the port, from the command line to the exit. */
export async function heldPort(bench: Bench): Promise<Figure[]> {
  const holder = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
    return new Response("not here", { status: 404 });
  });
  const { port } = holder.addr;
  const identity = { name: "somebody", statusPath: "/status" };
  await bench.define({
    foreign: late({ port, delayMs: 0, file: "" }),
    named: { ...late({ port: port === 65535 ? 1024 : port + 1, delayMs: 0, file: "" }), identity },
  });
  try {
    const told = async (
      what: string,
      { server, code }: { server: string; code: number },
    ): Promise<Figure> => {
      const values = await repeat(
        10,
        async () => (await bench.expect(code, "up", server, "--port", `${port}`)).ms,
      );
      return { what: `${bench.program.name}: ${what}`, unit: "ms", goal: atMost(250), values };
    };
    return [
      await told("decision on a held port", { server: "foreign", code: 14 }),
      await told("decision on a held port, holder asked", { server: "named", code: 13 }),
    ];
  } finally {
    await holder.shutdown();
    await bench.foster("down", "--all");
  }
}

function late({ port = "auto", delayMs, file }: { port?: number | "auto"; delayMs: number; file: string }) {
  const args = ["run", "-q", "--no-config", "-A", lateServer, "${port}", String(delayMs), file];
  return { command: "deno", args, port };
}
