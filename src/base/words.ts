/**
 * The words of a command line as a POSIX shell would split it, without any expansion; null where a quote has no partner.
 * A backslash outside quotes keeps the next character, inside double quotes only `"`, `\\`, `$` and a backquote.
 */
export function splitWords(text: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote: "'" | '"' | null = null;
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    const next = text.charAt(index + 1);
    if (quote === null && /\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (char === quote) {
      quote = null;
    } else if (quote === null && (char === "'" || char === '"')) {
      quote = char;
      word ??= "";
    } else if (char === "\\" && next !== "" && (quote === null || quote === '"' && '"\\$`'.includes(next))) {
      word = (word ?? "") + next;
      index++;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== null) return null;
  return word === null ? words : [...words, word];
}
