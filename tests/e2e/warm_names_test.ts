import { assertEquals, assertMatch } from "@std/assert";
import { exists, Foster, freePort, isFree } from "./harness.ts";

interface Warmed {
  servers: { name: string; ok: boolean; fetched: boolean; what: string; message: string; hint: string }[];
}

Deno.test("warm fetches what each start will need and starts nothing", async () => {
  await using foster = await Foster.create();
  const port = freePort();
  const module = await foster.write("server.ts", 'Deno.writeTextFileSync("started", "");\n');
  await foster.define({
    module: {
      command: "deno",
      args: ["run", "-A", "--no-config", "--no-lock", module, "--port", "${port}"],
      port,
    },
    plain: { command: "sh", args: ["-c", "echo started > started"], port: "auto" },
    private: { command: "deno", args: ["run", "--no-config", "--no-lock", module], transport: "stdio" },
  });
  for (const args of [["warm"], ["warm", "--all"], ["warm", "module", "plain", "private"]]) {
    const { servers } = (await foster.expect(0, [...args, "--json"])).json<Warmed>();
    assertEquals(servers.map(({ name, ok, fetched }) => [name, ok, fetched]), [
      ["module", true, true],
      ["plain", true, false],
      ["private", true, true],
    ]);
    assertEquals(servers[0]?.what, module);
    assertMatch(servers[1]?.message ?? "", /^Nothing to fetch for "plain"/);
  }
  assertEquals([await exists(`${foster.cwd}/started`), isFree(port)], [false, true]);
  assertEquals((await foster.expect(0, ["ps", "--json"])).json().servers, []);
  assertMatch(
    (await foster.expect(0, ["warm", "module"])).stdout,
    /^✓ module {2}Fetched .*server\.ts .* in \d+ ms\n$/,
  );
});

Deno.test("warm tries every server and ends with the first failure's code", async () => {
  await using foster = await Foster.create();
  const port = freePort();
  await foster.define({
    broken: { command: "deno", args: ["run", "--no-config", "--no-lock", "./missing.ts"], port },
    nowhere: { command: "no-such-program-here", port: "auto" },
    plain: { command: "sh", args: ["-c", "true"], port: "auto" },
  });
  const { servers } = (await foster.expect(1, ["warm", "--json"])).json<Warmed>();
  assertEquals(servers.map(({ ok }) => ok), [false, false, true]);
  assertMatch(
    servers[0]?.message ?? "",
    /^Cannot fetch \.\/missing\.ts for "broken": .*deno ended with code 1/,
  );
  assertMatch(servers[1]?.message ?? "", /no-such-program-here: not in/);
  const missing = await foster.expect(11, ["warm", "nowhere"]);
  assertMatch(missing.stdout, /^✗ nowhere {2}not fetched\n$/);
  assertMatch(missing.stderr, /no-such-program-here/);
});

Deno.test("warm without a name and without a definition file lists the presets", async () => {
  await using foster = await Foster.create();
  assertMatch((await foster.expect(2, ["warm"])).stderr, /demo, everything, godot-ai/);
});
