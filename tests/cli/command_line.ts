import { runFoster } from "../../src/cli/app.ts";
import { FakeHost } from "../host/fake_host.ts";

export const FOSTER_JSON = "/home/user/foster.json";
export const STATE = "/state";

/** One command line on a machine in memory, beside a definition file of this text. */
export async function typed(
  argv: readonly string[],
  { text, env = {} }: { text?: string; env?: Record<string, string> } = {},
) {
  const host = new FakeHost({
    env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE, ...env },
  });
  if (text !== undefined) host.files.put(FOSTER_JSON, text);
  const code = await runFoster(host, argv);
  const { outText: stdout, errText: stderr } = host.terminal;
  return { code, stdout, stderr, host };
}
