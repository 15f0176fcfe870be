/** Servers made with each major version of the Python SDK that installs, for clients of both revisions. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { connectTo, textOf } from "../fixtures/connect_client.ts";
import { missing, unless } from "../skip.ts";
import { Foster } from "./harness.ts";

const INSTALL_MS = 120_000;
const SERVER = `
try:
    from mcp.server.fastmcp import FastMCP as Server
except ImportError:
    from mcp.server import MCPServer as Server
server = Server("python")


@server.tool()
def echo(text: str) -> str:
    return text


server.run(transport="stdio")
`;
const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-python-" }));
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const noPython = await missing("python3");

async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  const signal = AbortSignal.timeout(INSTALL_MS);
  const child = new Deno.Command(command, { args, stdout: "null", stderr: "null", signal });
  return (await child.output().catch(() => ({ success: false }))).success;
}

/** Why the version can't be tested here, null where it is installed. */
async function installed(major: number): Promise<string | null> {
  if (noPython !== null) return noPython;
  const place = join(folder, `v${major}`);
  if (!await succeeds("python3", "-m", "venv", place)) return "python3 -m venv fails";
  const wanted = `mcp>=${major},<${major + 1}`;
  return await succeeds(join(place, "bin", "pip"), "install", "-q", wanted)
    ? null
    : `pip does not install ${wanted}`;
}

for (
  const [major, reason] of await Promise.all(
    [1, 2].map(async (each) => [each, await installed(each)] as const),
  )
) {
  for (const [revision, mode] of [["2025-11-25", "legacy"], ["2026-07-28", { pin: "2026-07-28" }]] as const) {
    const name = `a client of ${revision} uses a server of the Python SDK ${major}, through foster connect`;
    Deno.test({
      ...unless(reason, name),
      async fn() {
        await using foster = await Foster.create();
        const script = await foster.write("server.py", SERVER);
        const command = join(folder, `v${major}`, "bin", "python");
        await foster.define({ docs: { command, args: [script], transport: "stdio" } });
        await using connected = await connectTo(foster, ["docs"], { versionNegotiation: { mode } });
        const { client } = connected;
        assertEquals(client.getNegotiatedProtocolVersion(), revision);
        assert((await client.listTools()).tools.some((tool) => tool.name === "echo"));
        const answer = await client.callTool({ name: "echo", arguments: { text: "é\u2028" } });
        assertEquals(textOf(answer), "é\u2028");
        assertEquals([connected.drops(), connected.errors], [0, []]);
      },
    });
  }
}
