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
