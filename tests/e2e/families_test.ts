/**
 * Addresses of one port: two programs stand in each other's way only where the system says so.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Foster, freePort, type Row } from "./harness.ts";
import { tinyArgs } from "./tiny.ts";

const SCRIPT = `
import socket, sys, time
address, port, only = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "only"
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
if ":" in address: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if only else 0)
s.bind((address, port))
if sys.argv[3] == "try": sys.exit(0)
s.listen()
print("listening on", s.getsockname()[1], flush=True)
time.sleep(1000)
`;

const holders = [
  { name: "127.0.0.1", args: ["127.0.0.1", "both"] },
  { name: "0.0.0.0", args: ["0.0.0.0", "both"] },
  { name: "::1", args: ["::1", "both"] },
  { name: "[::] of both families", args: ["::", "both"] },
  { name: "[::] of IPv6 alone", args: ["::", "only"] },
];

for (const host of ["127.0.0.1", "::1"]) {
  for (const { name, args: [address = "", how = ""] } of holders) {
    Deno.test(`a server on ${host} beside a foreign listener on ${name} starts where the system lets it`, async () => {
      await using foster = await Foster.create();
      const holder = foster.startProgram("python3", ["-c", SCRIPT, address, "0", how]);
      const port = Number((await holder.stdoutLine(/listening on \d+/)).split(" ").at(-1));
      const tried = foster.startProgram("python3", ["-c", SCRIPT, host, String(port), "try"]);
      const isFree = (await tried.finish()).code === 0;
      const args = ["demo-server", "--port", "${port}", "--host", "${host}"];
      await foster.define({ t: { extends: "demo", host, port, args, wsPort: null } });
      const { code, stdout, stderr } = await foster.run(["up", "t", "--json"]);
      const what = `${stdout}\n${stderr}`;
      if (isFree) {
        assertEquals(code, 0, what);
        const { servers: [row] } = JSON.parse(stdout) as { servers: [Row] };
        assertEquals(row.startup_path, "spawned");
        assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().state, "ready");
        await foster.expect(0, ["down", "t"]);
      } else {
        assert(code === 13 || code === 14, what);
        assertMatch(what, new RegExp(`pid ${holder.pid} `));
      }
      holder.kill("SIGKILL");
    });
  }
}

Deno.test("a server of ours that listens on another port or family than asked is named with where it listens", async () => {
  await using foster = await Foster.create();
  const [asked, other] = [freePort(), freePort()];
  await foster.define({
    t: {
      command: "deno",
      args: tinyArgs(`--port=${other}`),
      port: asked,
      ready: { timeout: "5s" },
    },
  });
  const { stdout, stderr } = await foster.expect(15, ["up", "t"]);
  assertMatch(
    stdout + stderr,
    new RegExp(`it listens on 127\\.0\\.0\\.1:${other} instead of 127\\.0\\.0\\.1:${asked}`),
  );
});
