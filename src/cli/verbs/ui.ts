import { findCommand } from "../../definitions/launch/find_command.ts";
import { type Host, HostError } from "../../host/host.ts";
import { ControlError, findSupervisor } from "../../supervisor/control_client.ts";
import { ensureSupervisor } from "../../supervisor/ensure.ts";
import { EXIT } from "../exit_codes.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

/** A program that opens addresses fails at once, or hands the address to the browser that runs. */
const OPEN_MS = 1000;

export const ui: Verb = {
  name: "ui",
  summary: "the page of the gateway: servers, requests, memory, logs and restarts, live",
  usage: "[--no-open]",
  details:
    "Starts the supervisor where there is none, and opens the page in the browser, where there is a desktop.\n" +
    "The address that is printed lets in whoever has it: its token stands behind the #, which browsers do not send.",
  operands: "none",
  options: [{ name: "no-open", kind: "flag", summary: "print the address alone" }],
  examples: [
    ["ui", "opens the page, and prints its address"],
    ["ui --no-open --json", "prints the address as JSON"],
  ],
  async run(context, args) {
    const { output, host } = context;
    const world = worldOf(context);
    const supervisor = await ensureSupervisor(world);
    if (supervisor.kind === "without") {
      output.problem(`there is no page without the supervisor: ${supervisor.why}`);
      return EXIT.no;
    }
    const page = await supervisor.control.page().catch((error) => {
      if (!(error instanceof ControlError) || !/ 404:/.test(error.message)) throw error;
      return null;
    });
    if (page === null) {
      output.problem("the supervisor that runs is of a foster that has no page yet");
      output.problem("  foster serve --replace puts this one in its place");
      return EXIT.no;
    }
    const url = `${page.endpoint}/#token=${page.token}`;
    const isAsked = !args.flag("no-open") && !output.json && host.terminal.stdoutIsTerminal;
    const opened = isAsked && await openInBrowser(context, `${page.endpoint}/#code=${page.code}`);
    if (output.json) {
      const found = await findSupervisor(host, context.state.path);
      const { pid = null, version = null } = found.kind === "live" ? found.record : {};
      output.document({ url, opened, supervisor: { pid, endpoint: page.endpoint, version } });
      return EXIT.done;
    }
    output.line(url);
    if (opened) output.talk("The page is open in the browser.");
    return EXIT.done;
  },
};

/** False where there is no desktop, or nothing that opens addresses: the printed address is enough. */
async function openInBrowser({ host, output, callerFolder }: Context, url: string): Promise<boolean> {
  const opener = openerOf(host);
  if (opener === null) return false;
  const [name, ...before] = opener;
  const found = await findCommand(host, name, { cwd: callerFolder });
  if (!("path" in found)) return false;
  const refused = await host.processes.mayRun(found.path);
  if (refused !== null) {
    output.talk(refused);
    return false;
  }
  try {
    const { exited } = await host.processes.spawnDetached({
      command: found.path,
      args: [...before, url],
      cwd: callerFolder,
      env: host.env.all(),
      logFile: null,
    });
    const exit = await Promise.race([exited, host.clock.sleep(OPEN_MS).then(() => null)]);
    return exit === null || exit.code === 0;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    output.talk(`The browser could not be opened: ${error.message}`);
    return false;
  }
}

/** What opens an address on this system; null where nobody would see it. */
function openerOf({ system, env }: Pick<Host, "system" | "env">): [string, ...string[]] | null {
  switch (system) {
    case "linux": {
      const hasDesktop = [env.get("DISPLAY"), env.get("WAYLAND_DISPLAY")].some((each) => each);
      return hasDesktop ? ["xdg-open"] : null;
    }
    case "darwin":
      return env.get("SSH_CONNECTION") ? null : ["open"];
    case "windows":
      return env.get("SSH_CONNECTION") ? null : ["rundll32", "url.dll,FileProtocolHandler"];
  }
}
