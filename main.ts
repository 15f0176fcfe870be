import { denoRefusal } from "./src/host/engine/deno/version.ts";
import { extendNoProxy } from "./src/host/no_proxy.ts";

const { Deno: deno } = globalThis as { Deno?: typeof Deno };
if (deno !== undefined) {
  const refusal = denoRefusal({ version: deno.version.deno, standalone: deno.build.standalone });
  if (refusal !== null) {
    console.error(refusal);
    deno.exit(2);
  }
}
// Before anything else: both runtimes read the proxy settings once, with the first connection.
extendNoProxy();

const host = deno === undefined
  ? await (await import("./src/host/engine/bun/mod.ts")).createBunHost()
  : await (await import("./src/host/engine/deno/mod.ts")).createDenoHost();
const { runFoster } = await import("./src/cli/app.ts");
host.program.exit(await runFoster(host, host.program.argv));
