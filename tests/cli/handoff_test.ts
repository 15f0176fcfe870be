import { assertEquals, assertStringIncludes } from "@std/assert";
import { runFoster } from "../../src/cli/app.ts";
import { FakeHost } from "../host/fake_host.ts";
import { FOSTER_JSON, STATE } from "./command_line.ts";

const PROGRAM = "/usr/bin/docs-server";
const PORT = 3001;
const TEXT = JSON.stringify({
  servers: { docs: { command: PROGRAM, port: PORT, ready: { check: "tcp" }, stop: { grace: "500ms" } } },
});

Deno.test("handoff --up says that nothing was started where the port stays held, and what to type then", async () => {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  host.files.put(FOSTER_JSON, TEXT);
  host.processes.program(PROGRAM, (child) => child.listen(PORT));
  const typed = async (...argv: string[]) => {
    host.terminal.outText = "";
    const code = await host.clock.run(runFoster(host, [...argv, "--json"]));
    return { code, row: JSON.parse(host.terminal.outText).servers[0] };
  };
  assertEquals((await typed("up", "docs")).code, 0);
  const { pid } = host.processes.add({ argv: ["python3"], listens: [PORT] });
  const { code, row } = await typed("handoff", "docs", "--up");
  assertEquals([code, host.processes.isAlive(pid)], [1, true]);
  assertStringIncludes(row.message, `port ${PORT} is still held by pid ${pid}`);
  assertStringIncludes(row.message, "it was not started again");
  assertStringIncludes(row.hint, 'foster up "docs"');

  host.processes.end(pid);
  const started = await typed("handoff", "docs", "--up");
  assertEquals([started.code, started.row.state], [0, "ready"]);
});
