/**
 * Shows foster at work on the server inside it: up, status, a tool call, down. Uses a state folder of its own, which is
 * removed at the end.
 *
 * @module
 */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { styleText } from "node:util";
import { DELIMITER, dirname, fromFileUrl, join } from "@std/path";
import { scopedFlags, sourceFlags } from "../src/host/engine/deno/permissions.ts";
import { extendNoProxy } from "../src/host/no_proxy.ts";

const project = fromFileUrl(new URL("..", import.meta.url));
const before = [...sourceFlags, "--config", join(project, "deno.json"), ...scopedFlags];

const hasColor = Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR");

function bold(text: string): string {
  return hasColor ? styleText("bold", text, { validateStream: false }) : text;
}

class DemoFailure extends Error {}

/** Runs one command line of foster, showing it and its answer. */
async function foster(folder: string, args: readonly string[]): Promise<string> {
  console.log(bold(`$ foster ${args.join(" ")}`));
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...before, join(project, "main.ts"), ...args],
    cwd: folder,
    clearEnv: true,
    env: environment(folder),
    stdin: "null",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  console.log(text);
  if (code !== 0) throw new DemoFailure(`foster ${args.join(" ")} ended with exit code ${code}`);
  return text;
}

/** The caller's, without what would lead foster to another state folder or to other definitions. */
function environment(folder: string): Record<string, string> {
  const env = Object.entries(Deno.env.toObject()).filter(([name]) => !/^(?:FOSTER_|INIT_CWD$)/.test(name));
  // The Deno that runs this is the one that foster may run, also where PATH has another one or none.
  const path = [dirname(Deno.execPath()), Deno.env.get("PATH") ?? ""].join(DELIMITER);
  return { ...Object.fromEntries(env), PATH: path, FOSTER_STATE_DIR: join(folder, "state") };
}

async function callTool(endpoint: string): Promise<void> {
  console.log(bold(`The official MCP client calls the tool "echo" on ${endpoint}`));
  const client = new Client({ name: "foster-demo-script", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(endpoint)));
  try {
    const { tools } = await client.listTools();
    console.log(`tools   ${tools.map((tool) => tool.name).join(", ")}`);
    const answer = await client.callTool({ name: "echo", arguments: { text: "hello" } });
    console.log(`answer  ${JSON.stringify(answer.content)}\n`);
  } finally {
    await client.close();
  }
}

async function answers({ hostname, port }: URL): Promise<boolean> {
  try {
    const connection = await Deno.connect({ hostname, port: Number(port) });
    connection.close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

async function main(): Promise<number> {
  extendNoProxy();
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-demo-" }));
  let mayBeUp = true;
  try {
    const up = await foster(folder, ["up", "demo"]);
    await foster(folder, ["status", "demo"]);
    const endpoint = /http:\/\/\S+/.exec(up)?.[0];
    if (endpoint === undefined) throw new DemoFailure("foster up printed no endpoint");
    await callTool(endpoint);
    await foster(folder, ["down", "demo"]);
    mayBeUp = false;
    if (await answers(new URL(endpoint))) throw new DemoFailure("the port is still held");
    console.log("Its port is free again.");
    return 0;
  } catch (error) {
    if (!(error instanceof DemoFailure)) throw error;
    console.error(`The demo failed: ${error.message}`);
    return 1;
  } finally {
    if (mayBeUp) await foster(folder, ["down", "demo"]).catch(() => "");
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
