/**
 * Windows hands a program one command line, not a vector: these rules turn it into arguments.
 *
 * @module
 */

/**
 * Splits a command line as `CommandLineToArgvW` does. The program's name takes no escapes; after it, backslashes count
 * only before a quote, and every third quote of a row is a literal one.
 */
export function splitCommandLine(commandLine: string): string[] {
  const program = /^(?:"([^"]*)"?|([^ \t]*))/.exec(commandLine);
  if (commandLine === "" || program === null) return [];
  const [taken, quoted, bare] = program;
  return [quoted ?? bare ?? "", ...splitArguments(commandLine.slice(taken.length))];
}

function splitArguments(text: string): string[] {
  const args: string[] = [];
  let arg: string | null = null;
  let quotes = 0;
  for (let index = 0; index < text.length;) {
    const char = text.charAt(index);
    if ((char === " " || char === "\t") && quotes === 0) {
      if (arg !== null) args.push(arg);
      arg = null;
      index++;
      continue;
    }
    arg ??= "";
    const backslashes = runLength(text, { from: index, char: "\\" });
    index += backslashes;
    if (text.charAt(index) !== '"') {
      if (backslashes > 0) arg += "\\".repeat(backslashes);
      else arg += text.charAt(index++);
      continue;
    }
    arg += "\\".repeat(Math.floor(backslashes / 2));
    if (backslashes % 2 === 1) {
      arg += '"';
      index++;
    } else {
      const row: number = runLength(text, { from: index, char: '"' });
      arg += '"'.repeat(Math.floor((quotes + row) / 3));
      // Of what is left, one quote opens a quoted part and two close it again.
      quotes = (quotes + row) % 3 === 1 ? 1 : 0;
      index += row;
    }
  }
  return arg === null ? args : [...args, arg];
}

function runLength(text: string, { from, char }: { from: number; char: string }): number {
  let end = from;
  while (text.charAt(end) === char) end++;
  return end - from;
}

/** The command line that {@link splitCommandLine}, and most programs, take apart into these arguments again. */
export function joinCommandLine(program: string, args: readonly string[]): string {
  return [`"${program}"`, ...args.map(quoted)].join(" ");
}

function quoted(arg: string): string {
  if (arg !== "" && !/[\s"]/.test(arg)) return arg;
  return `"${arg.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, "$&$&")}"`;
}

/**
 * The arguments of `cmd.exe`, to be passed on as they are, that run a batch file with these arguments: npx.cmd and its
 * like. Null where an argument can't be passed to one: it holds a line break or a NUL.
 */
export function batchArguments(file: string, args: readonly string[]): string | null {
  if ([file, ...args].some((text) => /[\r\n\0]/.test(text)) || file.includes('"')) return null;
  const line = [`"${file.replaceAll("%", PERCENT)}"`, ...args.map(quotedForBatch)].join(" ");
  // /d: no AutoRun of the user's; /e:on: `%cd:~,%` is understood; /v:off: `!` means nothing; /s: the outer quotes go.
  return `/d /e:on /v:off /s /c "${line}"`;
}

/** `%` followed by a variable that expands to nothing: what stands behind it is then no variable's name. */
const PERCENT = "%%cd:~,%";

/** A batch file hands its arguments on as they stand in its own command line, mostly to a program that splits them. */
function quotedForBatch(arg: string): string {
  const isPlain = /^[\w#$*+./:?@\\-]+$/.test(arg) && !arg.endsWith("\\");
  if (isPlain) return arg;
  const inner = arg.replace(/(\\*)"/g, '$1$1""').replace(/\\+$/, "$&$&").replaceAll("%", PERCENT);
  return `"${inner}"`;
}

/** Whether Windows runs the file through `cmd.exe`. */
export function isBatchFile(path: string): boolean {
  return /\.(?:cmd|bat)$/i.test(path.replace(/[. ]+$/, ""));
}
