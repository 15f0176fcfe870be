/** The official clients that people's programs are made of, at the gateway's address. Installed from their registries. */
import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { callerEnvironment } from "../../scripts/caller_environment.ts";
import { missing, unless } from "../skip.ts";
import { Foster, type Row } from "./harness.ts";

const SERVER = fromFileUrl(new URL("../fixtures/stdio_server.ts", import.meta.url));
const INSTALL_MS = 240_000;
const SDK = "@modelcontextprotocol/sdk@1.32.2";
const INSPECTOR = "@modelcontextprotocol/inspector@2.12.0";

const TYPESCRIPT = `
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
const [url, token] = process.argv.slice(2);
const client = new Client({ name: "typescript", version: "1" });
const requestInit = { headers: { authorization: "Bearer " + token } };
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
const { tools } = await client.listTools();
const { content } = await client.callTool({ name: "echo", arguments: { text: "hello" } });
console.log(tools.length, content[0].text);
await client.close();
`;

const PYTHON = `
import asyncio, sys
try:
    import httpx2 as httpx
except ImportError:
    import httpx
from mcp import ClientSession
import mcp.client.streamable_http as http
url, token = sys.argv[1:]
headers = {"authorization": "Bearer " + token}
async def main():
    if hasattr(http, "streamable_http_client"):
        client = http.streamable_http_client(url, http_client=httpx.AsyncClient(headers=headers, timeout=30))
    else:
        client = http.streamablehttp_client(url, headers=headers)
    async with client as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            content = (await session.call_tool("echo", {"text": "hello"})).content
            print(len(tools), content[0].text)
asyncio.run(main())
`;

/** What a program prints. @throws Error with its last words */
async function ran(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    clearEnv: true,
    env: callerEnvironment(),
    stdin: "null",
    signal: AbortSignal.timeout(INSTALL_MS),
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command}: ${decoder.decode(stderr).slice(-2000)}`);
  return decoder.decode(stdout);
}

const servers = Object.fromEntries(
  ["older", "newer", "both"].map((
    mode,
  ) => [mode, { command: "deno", args: ["run", "-q", "--no-lock", "-A", SERVER, mode] }]),
);

/** Each server's address, and the token. */
async function served(foster: Foster): Promise<{ urls: [string, string][]; token: string }> {
  await foster.define(servers);
  const { supervisor, servers: rows } = (await foster.expect(0, ["serve", "--detach", "--json"]))
    .json() as unknown as { supervisor: { token_file: string }; servers: Row[] };
  const token = (await Deno.readTextFile(supervisor.token_file)).trim();
  return { urls: rows.map(({ name, endpoint }) => [name, endpoint]), token };
}

const noNpm = await missing("npm") ?? await missing("node");

Deno.test(unless(noNpm, "the official TypeScript client 1.x lists and calls at the gateway"), async () => {
  await using foster = await Foster.create();
  await ran("npm", ["install", "--no-audit", "--no-fund", "--prefix", foster.cwd, SDK], foster.cwd);
  await foster.write("client.mjs", TYPESCRIPT);
  const { urls, token } = await served(foster);
  for (const [name, url] of urls) {
    assertMatch(await ran("node", ["client.mjs", url, token], foster.cwd), /^9 hello$/m, name);
  }
  await foster.run(["serve", "--stop"]);
});

Deno.test(unless(noNpm, "the official inspector lists and calls at the gateway"), async () => {
  await using foster = await Foster.create();
  await ran("npm", ["install", "--no-audit", "--no-fund", "--prefix", foster.cwd, INSPECTOR], foster.cwd);
  const { urls, token } = await served(foster);
  const program = join(foster.cwd, "node_modules", ".bin", "mcp-inspector");
  for (const [name, url] of urls) {
    const at = ["--cli", url, "--transport", "http", "--header", `Authorization: Bearer ${token}`];
    const listed = JSON.parse(await ran(program, [...at, "--method", "tools/list"], foster.cwd));
    assertEquals(listed.tools.length, 9, name);
    const call = ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "text=hello"];
    assertMatch(await ran(program, [...at, ...call], foster.cwd), /"text": "hello"/, name);
  }
  await foster.run(["serve", "--stop"]);
});

/** A Python that has one package. uv takes a tenth of pip's time. */
async function pythonWith(requirement: string, folder: string): Promise<string> {
  const python = join(folder, "env", "bin", "python");
  if (await missing("uv") === null) {
    await ran("uv", ["venv", "-q", "env"], folder);
    await ran("uv", ["pip", "install", "-q", "--python", python, requirement], folder);
  } else {
    await ran("python3", ["-m", "venv", "env"], folder);
    await ran(python, ["-m", "pip", "install", "-q", requirement], folder);
  }
  return python;
}

for (const client of ["mcp==2.3.0", "mcp<2"]) {
  Deno.test(
    unless(await missing("python3"), `the official Python client (${client}) lists and calls at the gateway`),
    async () => {
      await using foster = await Foster.create();
      const python = await pythonWith(client, foster.cwd);
      await foster.write("client.py", PYTHON);
      const { urls, token } = await served(foster);
      for (const [name, url] of urls) {
        assertMatch(await ran(python, ["client.py", url, token], foster.cwd), /^9 hello$/m, name);
      }
      await foster.run(["serve", "--stop"]);
    },
  );
}
