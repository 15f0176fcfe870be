/**
 * How foster asks PowerShell. The scripts hold no double quotes, so that they pass through any quoting as they are.
 *
 * @module
 */
import { LISTENERS_END } from "./parse.ts";

const OPENING = "$ErrorActionPreference='Stop';$ProgressPreference='SilentlyContinue';";

/** Universal time, seven decimals, the same in every culture and in both PowerShells. */
const CREATED =
  "@{n='CreationDate';e={if($_.CreationDate){$_.CreationDate.ToUniversalTime().ToString('o')}}}";

/**
 * Everything beyond ASCII as a JSON escape: the output is then the same in every code page, and the console's own,
 * which the user's shell shares, needs no change.
 */
const AS_ASCII =
  "-join($j.ToCharArray()|ForEach-Object{if([int]$_ -gt 126){'\\u{0:x4}' -f [int]$_}else{$_}})";

/** The WQL condition for any of `pids`. */
function anyOf(pids: readonly number[]): string {
  return pids.map((pid) => `ProcessId=${pid}`).join(" OR ");
}

/** Identity and parent of `pids` and of their parents, or of all processes. */
export function identityScript(pids: readonly number[] | null): string {
  const get = "Get-CimInstance Win32_Process -Property ProcessId,ParentProcessId,CreationDate,Name";
  const parents = "$q=@($r|ForEach-Object{'ProcessId='+$_.ParentProcessId}|Sort-Object -Unique)-join' OR ';" +
    `if($q){$r+=@(${get} -Filter $q)};`;
  const rows = pids === null ? `$r=@(${get});` : `$r=@(${get} -Filter '${anyOf(pids)}');${parents}`;
  return `${OPENING}${rows}ConvertTo-Json -Compress -InputObject ` +
    `@($r|Select-Object ProcessId,ParentProcessId,Name,${CREATED})`;
}

/** Memory and CPU time of `pids`. */
export function usageScript(pids: readonly number[]): string {
  const fields = "ProcessId,WorkingSetSize,KernelModeTime,UserModeTime";
  return `${OPENING}$r=@(Get-CimInstance Win32_Process -Filter '${anyOf(pids)}' -Property ${fields});` +
    `ConvertTo-Json -Compress -InputObject @($r|Select-Object ${fields})`;
}

/** Command line and program of one process. */
export function commandScript(pid: number): string {
  const fields = "ProcessId,CommandLine,ExecutablePath";
  return `${OPENING}$r=@(Get-CimInstance Win32_Process -Filter '${anyOf([pid])}' -Property ${fields});` +
    `$j=ConvertTo-Json -Compress -InputObject @($r|Select-Object ${fields});${AS_ASCII}`;
}

/** Pid and address of each listener on `port`, one a line, then the end. The cmdlet calls "nobody" an error; the script does not. */
export function listenersScript(port: number): string {
  return `${OPENING}try{$r=@(Get-NetTCPConnection -State Listen -LocalPort ${port})}` +
    "catch{if($_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*'){throw};$r=@()};" +
    `$r|ForEach-Object{'{0} {1}' -f $_.OwningProcess,$_.LocalAddress};'${LISTENERS_END}'`;
}

/** The PowerShells to try, in order: the one of the system first, so that nothing on PATH stands in for it. */
export function powerShells(systemRoot: string | undefined): string[] {
  const root = systemRoot === undefined || systemRoot === "" ? "C:/Windows" : systemRoot;
  return [`${root}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`, "powershell.exe", "pwsh.exe"];
}

/** The arguments that have any PowerShell run `script` without the user's profile. */
export function powerShellArguments(script: string): string[] {
  return ["-NoProfile", "-ExecutionPolicy", "Bypass", "-Command", script];
}
