import { extendNoProxy } from "./src/host/no_proxy.ts";

// Before anything else: both runtimes read the proxy settings once, with the first connection.
extendNoProxy();
// Compiled checks would pay off after thousands of them only: foster's verbs make a few dozen. Read when zod is loaded.
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } });

const { Deno: deno } = globalThis as { Deno?: { args: string[]; exit(code: number): never } };
const host = deno === undefined
  ? await (await import("./src/host/engine/bun/mod.ts")).createBunHost()
  : await (await import("./src/host/engine/deno/mod.ts")).createDenoHost();
const { runFoster } = await import("./src/cli/app.ts");
host.program.exit(await runFoster(host, host.program.argv));
