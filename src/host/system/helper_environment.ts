/** Windows programs can't open a socket, find a library or make a temporary file without these. */
const windowsNeeds = [
  "SystemRoot",
  "SystemDrive",
  "windir",
  "ComSpec",
  "PATHEXT",
  "TEMP",
  "TMP",
  "USERPROFILE",
];

/** PATH, a fixed language and time zone, and nothing else. */
export function helperEnvironment(
  get: (name: string) => string | undefined,
  system: string,
): Record<string, string> {
  const env: Record<string, string> = { PATH: get("PATH") ?? "", LC_ALL: "C", TZ: "UTC" };
  if (system !== "windows") return env;
  for (const name of windowsNeeds) {
    const value = get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}
