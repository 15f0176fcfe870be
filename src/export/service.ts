/**
 * What makes `serve` start with the user's session, as systemd, launchd and the Windows task scheduler want it written.
 *
 * @module
 */
import { sha256Hex } from "../base/hash.ts";

export type ServiceKind = "systemd" | "launchd" | "task";

export interface ServiceOptions {
  /** Program and arguments, whole paths. */
  command: readonly string[];
  /** Variables that definitions ask for: a service has nobody's shell environment. */
  variables: readonly string[];
}

/** What its file is called by the system. */
export const SERVICE_NAMES: Readonly<Record<ServiceKind, string>> = {
  systemd: "foster.service",
  launchd: "foster.serve",
  task: "foster",
};

/** The whole file. Its first comment tells foster's own file from anybody else's, and whether it was edited since. */
export function serviceText(kind: ServiceKind, options: ServiceOptions): string {
  switch (kind) {
    case "systemd": {
      const body = systemdUnit(options);
      return `# ${markOf(body)}\n${body}`;
    }
    case "launchd":
      return withMark(launchdPlist(options), '<?xml version="1.0" encoding="UTF-8"?>\n');
    case "task":
      // Without a declaration: the scheduler reads the text as UTF-16, and refuses one that says something else.
      return withMark(taskXml(options), "");
  }
}

function withMark(body: string, before: string): string {
  return `${before}<!-- ${markOf(body)} -->\n${body}`;
}

function markOf(body: string): string {
  return `Written by foster export; sha256 of the rest: ${sha256Hex(body)}`;
}

const MARK =
  /^(?:<\?xml[^>]*>\n)?(?:#|<!--) Written by foster export; sha256 of the rest: ([0-9a-f]{64})(?: -->)?\n/;

/** Whose a file is that stands where foster's would. */
export function ownerOf(text: string): "foster" | "edited" | "foreign" {
  const [mark, sum] = MARK.exec(text) ?? [];
  if (mark === undefined) return "foreign";
  return sha256Hex(text.slice(mark.length)) === sum ? "foster" : "edited";
}

/**
 * `process`: servers that listen by themselves survive their supervisor. `continue`: one server that ran out of memory must
 * not end all others.
 */
function systemdUnit({ command, variables }: ServiceOptions): string {
  const needed = variables.length === 0 ? "" : `# Needed by the definitions: ${variables.join(", ")}\n`;
  return `[Unit]
Description=foster: supervisor and gateway of local MCP servers
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
ExecStart=${command.map(systemdWord).join(" ")}
${needed}# NAME=VALUE lines; keep that file at mode 0600.
EnvironmentFile=-%E/foster/environment
Restart=on-failure
RestartSec=1
KillMode=process
TimeoutStopSec=90
OOMPolicy=continue
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
`;
}

/** Specifiers and variables begin with % and $; quotes keep blanks together. */
function systemdWord(word: string): string {
  const plain = word.replaceAll("\\", "\\\\").replaceAll("%", "%%").replaceAll("$", () => "$$")
    .replaceAll("\n", "\\n");
  return /^[\w@%+=:,./~$-]+$/.test(plain) ? plain : `"${plain.replaceAll('"', '\\"')}"`;
}

function launchdPlist({ command }: ServiceOptions): string {
  const words = command.map((word) => `    <string>${xmlText(word)}</string>\n`).join("");
  return `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${SERVICE_NAMES.launchd}</string>
  <key>ProgramArguments</key>
  <array>
${words}  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>AbandonProcessGroup</key>
  <true/>
  <key>ProcessType</key>
  <string>Interactive</string>
</dict>
</plist>
`;
}

function taskXml({ command: [program = "", ...args] }: ServiceOptions): string {
  return `<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>foster: supervisor and gateway of local MCP servers</Description>
    <URI>\\${SERVICE_NAMES.task}</URI>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>10</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>${xmlText(program)}</Command>
      <Arguments>${xmlText(args.map(windowsWord).join(" "))}</Arguments>
    </Exec>
  </Actions>
</Task>
`;
}

/** As programs of the C runtime split their command line again. */
function windowsWord(word: string): string {
  if (/^[^\s"]+$/.test(word)) return word;
  const escaped = word.replaceAll(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1");
  return `"${escaped}"`;
}

/** A control character has no place in XML 1.0, not even as a reference. */
function xmlText(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "").replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
