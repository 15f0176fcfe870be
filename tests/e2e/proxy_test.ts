import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Foster, freePort } from "./harness.ts";
import { tiny } from "./tiny.ts";

const CALLERS: { title: string; given: Record<string, string> }[] = [
  { title: "without NO_PROXY", given: {} },
  { title: "with a NO_PROXY of its own", given: { NO_PROXY: "intranet.example" } },
  { title: "with both spellings", given: { NO_PROXY: "one.example", no_proxy: "two.example" } },
];

for (const { title, given } of CALLERS) {
  Deno.test(`a proxy that is down changes nothing, and the child has the caller's settings: ${title}`, async () => {
    await using foster = await Foster.create();
    const file = join(foster.folder, "given.json");
    await foster.define({ t: tiny("auto", { options: [`--environment-file=${file}`] }) });
    const dead = `http://127.0.0.1:${freePort()}`;
    const proxies = Object.fromEntries(
      ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .map((name) => [name, dead]),
    );
    const env = { ...proxies, ...given };

    const up = (await foster.expect(0, ["up", "t", "--json"], { env })).row();
    assertEquals(up.state, "ready");
    assertEquals((await foster.expect(0, ["status", "t", "--json"], { env })).row().state, "ready");
    await foster.expect(0, ["probe", "t"], { env });
    await foster.expect(0, ["probe", up.endpoint.replace("127.0.0.1", "localhost")], { env });

    const child: Record<string, string> = JSON.parse(await Deno.readTextFile(file)).env;
    assertEquals([child.NO_PROXY, child.no_proxy], [given.NO_PROXY, given.no_proxy]);
    for (const [name, value] of Object.entries(proxies)) assertEquals(child[name], value);
    await foster.expect(0, ["down", "t"], { env });
  });
}
