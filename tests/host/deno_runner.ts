import { createDenoHost } from "../../src/host/deno.ts";
import { runnerMain } from "./contract.ts";

const host = await createDenoHost();
await runnerMain(host, host.program.argv);
host.program.exit(0);
