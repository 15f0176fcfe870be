import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { bunPath } from "../../scripts/bun_tool.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { withLoopback } from "../../src/host/no_proxy.ts";

for (
  const [value, expected] of [
    [undefined, "127.0.0.1,localhost,::1,[::1]"],
    ["", "127.0.0.1,localhost,::1,[::1]"],
    ["example.org, .corp", "example.org,.corp,127.0.0.1,localhost,::1,[::1]"],
    ["localhost,127.0.0.1", "localhost,127.0.0.1,::1,[::1]"],
    ["127.0.0.1,localhost,::1,[::1]", "127.0.0.1,localhost,::1,[::1]"],
    ["*", "*,127.0.0.1,localhost,::1,[::1]"],
  ]
) {
  Deno.test(`withLoopback() makes ${JSON.stringify(value)} into ${expected}`, () => {
    assertEquals(withLoopback(value), expected);
  });
}

const proxySettings: Record<string, string>[] = [{}, { NO_PROXY: "example.org" }, { no_proxy: "*" }];

/** Runs under both engines; needs nothing but the module. */
const proxyProgram = `
import { extendNoProxy, originalProxyEnv } from ${
  JSON.stringify(new URL("../../src/host/no_proxy.ts", import.meta.url))
};
extendNoProxy();
extendNoProxy();
const port = process.argv[2];
const seen = {};
for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
  const response = await fetch("http://" + host + ":" + port + "/").catch((error) => error);
  const socket = new WebSocket("ws://" + host + ":" + port + "/");
  const opened = await new Promise((resolve) => {
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });
  seen[host] = [response.status ?? String(response), opened];
}
console.log(JSON.stringify({ seen, original: originalProxyEnv() }));
process.exit(0);
`;

Deno.test("extendNoProxy() lets fetch and WebSocket reach the loopback past any proxy, under both engines", async (t) => {
  const { net } = await createDenoHost();
  const handle: Parameters<typeof net.serve>[0]["handle"] = (request, upgrade) =>
    request.headers.has("upgrade") ? upgrade().response : new Response("hello");
  const first = await net.serve({ hostname: "127.0.0.1", port: 0, handle });
  const second = await net.serve({ hostname: "::1", port: first.port, handle });
  try {
    await withFolder(async (folder) => {
      const script = join(folder, "program.mjs");
      await Deno.writeTextFile(script, proxyProgram.replaceAll("process.", "globalThis.process."));
      const commands = { Deno: ["deno", "run", "-A", "-q", script], Bun: [await bunPath(), script] };
      for (const [engine, [command = "", ...args]] of Object.entries(commands)) {
        for (const settings of proxySettings) {
          await t.step(`${engine} with ${JSON.stringify(settings)}`, async () => {
            const proxy = "http://127.0.0.1:9";
            const env: Record<string, string> = {
              ...Deno.env.toObject(),
              HTTP_PROXY: proxy,
              http_proxy: proxy,
              ALL_PROXY: proxy,
              ...settings,
            };
            const child = new Deno.Command(command, {
              args: [...args, String(first.port)],
              env,
              stderr: "inherit",
            });
            const { seen, original } = JSON.parse(new TextDecoder().decode((await child.output()).stdout));
            assertEquals(seen, { "127.0.0.1": [200, true], localhost: [200, true], "[::1]": [200, true] });
            // Windows knows one variable under both names.
            if (Deno.build.os !== "windows") assertEquals(original, settings);
            else assertEquals(new Set(Object.values(original)), new Set(Object.values(settings)));
          });
        }
      }
    });
  } finally {
    await first.close();
    await second.close();
  }
});

Deno.test("env.all() gives children the proxy settings as they were", async () => {
  const source = `
    import { extendNoProxy } from ${JSON.stringify(new URL("../../src/host/no_proxy.ts", import.meta.url))};
    extendNoProxy();
    const { createDenoHost } = await import(${
    JSON.stringify(new URL("../../src/host/engine/deno/mod.ts", import.meta.url))
  });
    const { env } = await createDenoHost();
    console.log(JSON.stringify([env.get("NO_PROXY"), env.get("no_proxy"), env.all().NO_PROXY, env.all().no_proxy]));
  `;
  await withFolder(async (folder) => {
    const script = join(folder, "program.ts");
    await Deno.writeTextFile(script, source);
    const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
    const { stdout } = await new Deno.Command("deno", {
      args: ["run", "-A", "-q", "--config", config, script],
      env: { ...withoutProxies(Deno.env.toObject()), no_proxy: "example.org" },
      clearEnv: true,
      stderr: "inherit",
    }).output();
    const both = "example.org,127.0.0.1,localhost,::1,[::1]";
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), [
      both,
      both,
      // Windows knows one variable for both.
      Deno.build.os === "windows" ? "example.org" : null,
      "example.org",
    ]);
  });
});

function withoutProxies(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/_proxy$/i.test(name)));
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "foster-proxy-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
