import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { runnerMain } from "./contract.ts";

const host = await createDenoHost();
await runnerMain(host, host.program.argv);
host.program.exit(0);
