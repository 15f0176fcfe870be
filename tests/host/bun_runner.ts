import { createBunHost } from "../../src/host/engine/bun/mod.ts";
import { runnerMain } from "./contract.ts";

const host = await createBunHost();
await runnerMain(host, host.program.argv);
host.program.exit(0);
