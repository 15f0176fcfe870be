import { assert, assertEquals, assertMatch } from "@std/assert";
import { Foster, isAlive, until } from "./harness.ts";
import { unless } from "../skip.ts";
import type { Running } from "./running.ts";
import { noTerminal, onTerminal, shows } from "./terminal.ts";

/** The last thing that a full-screen program does is to leave the alternate screen with the cursor shown. */
function assertRestored(stdout: string, code: number): void {
  assertMatch(stdout, new RegExp(`\nEXIT ${code} SAME\n$`));
  assert(stdout.lastIndexOf("\x1b[?1049l") > stdout.lastIndexOf("\x1b[?1049h"), stdout);
  assert(stdout.lastIndexOf("\x1b[?25h") > stdout.lastIndexOf("\x1b[?25l"), stdout);
}

Deno.test(
  unless(noTerminal, "top shows a live table whose keys restart, show the log, stop and quit"),
  async () => {
    await using foster = await Foster.create();
    const { pid } = (await foster.expect(0, ["up", "demo", "--json"])).row();
    const top = onTerminal(foster, ["top", "--interval", "200ms", "--no-color"]);
    await shows(top, /> demo +ready .*MiB .*[▁▂▃▄▅▆▇█] [\d.]+ ms/);
    await top.write("l");
    await shows(top, /log of demo/);
    await top.write("x");
    await top.write("r");
    await shows(top, /restarting/);
    const next = await until("another process is ready", async () => {
      const record = await foster.record("demo");
      return record?.state === "ready" && record.pid !== pid ? Number(record.pid) : null;
    });
    assert(!await isAlive(pid));
    await until("the restart is over", async () => {
      await top.write("s");
      return /stop demo\? y stops it/.test(top.stdout);
    });
    await top.write("n");
    assert(await isAlive(next));
    await until("it is stopped", async () => {
      await top.write("sy");
      return !await isAlive(next);
    });
    await shows(top, /No servers\./);
    await top.write("q");
    const { code, stdout } = await top.finish();
    assertEquals(code, 0);
    assertRestored(stdout, 0);
  },
);

for (
  const { what, end, code } of [
    { what: "Ctrl+C is pressed", end: (top: Running) => top.write("\x03"), code: 130 },
    { what: "it is told to end", end: (top: Running) => signalled(top, "SIGTERM"), code: 143 },
    { what: "it is interrupted", end: (top: Running) => signalled(top, "SIGINT"), code: 130 },
  ]
) {
  Deno.test(unless(noTerminal, `top gives the terminal back as it was when ${what}`), async () => {
    await using foster = await Foster.create();
    const top = onTerminal(foster, ["top"]);
    await shows(top, /No servers\./);
    await end(top);
    assertRestored((await top.finish()).stdout, code);
  });
}

async function signalled(top: Running, signal: Deno.Signal): Promise<void> {
  const line = await top.stdoutLine(/^PID /);
  Deno.kill(Number(line.split(" ")[1]), signal);
}

Deno.test("top prints the table once where there is no terminal, and ends with 0", async () => {
  await using foster = await Foster.create();
  const nothing = await foster.expect(0, ["top"]);
  assertEquals([nothing.stdout, /No servers/.test(nothing.stderr)], ["", true]);
  await foster.expect(0, ["up", "demo"]);
  const { stdout } = await foster.expect(0, ["top"]);
  const [head, row, ...more] = stdout.trimEnd().split("\n");
  assertEquals(head, head?.replaceAll("\x1b", ""));
  assertMatch(head ?? "", /^NAME +STATE +UPTIME +RESTARTS +MEMORY +CPU +LATENCY +LAST EVENT$/);
  assertMatch(row ?? "", /^demo +ready +\d+s +0 +[\d.]+ MiB +[\d.]+% .* ms +ready \d+s ago$/);
  assertEquals(more, []);
});

Deno.test("top --json prints one object a refresh, and one only with --once", async () => {
  await using foster = await Foster.create();
  const { pid } = (await foster.expect(0, ["up", "demo", "--json"])).row();
  const once = (await foster.expect(0, ["top", "--json", "--once"])).json<Record<string, unknown>>();
  assertEquals(once["type"], "top");
  const streaming = foster.start(["top", "--json", "--interval", "100ms"]);
  await until("three objects", () => streaming.stdout.split("\n").length > 3);
  streaming.kill("SIGINT");
  const { code, stdout } = await streaming.finish();
  assertEquals(code, 130);
  for (const line of stdout.trimEnd().split("\n")) {
    const { type, servers: [row] } = JSON.parse(line);
    assertEquals([type, row.name, row.pid, row.state, row.restarts], ["top", "demo", pid, "ready", 0]);
    for (const field of ["uptime_ms", "memory_bytes", "cpu_percent", "latency_ms"]) {
      assertEquals(typeof row[field], "number", field);
    }
    assertEquals(row.last_event.event, "ready");
  }
});
