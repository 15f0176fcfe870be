/**
 * Clients that ask all at once for a server that is not there yet: how many servers that makes.
 *
 * @module
 */
import { callerEnvironment } from "../caller_environment.ts";
import { atMost, type Figure } from "./figures.ts";
import type { Bench } from "./program.ts";

const CLIENTS = 20;

const hello = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "bench", version: "1" },
};
const said = [
  { jsonrpc: "2.0", id: 1, method: "initialize", params: hello },
  { jsonrpc: "2.0", method: "notifications/initialized" },
  { jsonrpc: "2.0", id: 2, method: "tools/list", params: {} },
].map((message) => `${JSON.stringify(message)}\n`).join("");

/** @throws Error when one of them did not get its tools */
export async function manyClients(bench: Bench): Promise<Figure> {
  await bench.define({ shared: { extends: "demo" } });
  try {
    const all = await Promise.all(Array.from({ length: CLIENTS }, () => isServed(bench)));
    const served = all.filter(Boolean).length;
    if (served < CLIENTS) throw new Error(`${served} of ${CLIENTS} clients got their tools`);
    const { stdout } = await bench.expect(0, "logs", "shared", "--events", "--json");
    const spawns = stdout.split("\n").filter((line) => /"event":"spawned"/.test(line)).length;
    return { what: `connect: servers for ${CLIENTS} clients`, unit: "×", goal: atMost(1), values: [spawns] };
  } finally {
    await bench.foster("down", "--all");
  }
}

/** Whether one client got its tools. */
async function isServed({ program, stateDir, cwd, folder }: Bench): Promise<boolean> {
  const [command, ...args] = program.command;
  const child = new Deno.Command(command, {
    args: [...args, "connect", "shared", "--state-dir", stateDir],
    cwd,
    clearEnv: true,
    env: { ...callerEnvironment(), HOME: folder },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(said));
  let text = "";
  let isWaiting = true;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (!isWaiting || !/"id":2[,}]/.test(text)) continue;
    isWaiting = false;
    await writer.close();
  }
  await child.status;
  return /"tools":/.test(text);
}
