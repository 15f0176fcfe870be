/**
 * One script for each shell. All of them ask `foster completions --names` for the servers.
 *
 * @module
 */
import type { CompletedOption, CompletedVerb, CompletionTable } from "./table.ts";

/** For bash 3.2 and later, which macOS still has. */
export function bashScript({ verbs, everywhere }: CompletionTable): string {
  const globals = flags(everywhere);
  const cases = verbs.map((verb) =>
    `    ${verb.name}) options="${[...flags(verb.options), ...globals].join(" ")}"` +
    ` words="${verb.words.join(" ")}" servers=${verb.servers ? 1 : 0} files=${verb.files ? 1 : 0} ;;`
  );
  const values = valueCases([...everywhere, ...verbs.flatMap(({ options }) => options)], {
    file: 'COMPREPLY=($(compgen -f -- "$cur")); return',
    folder: 'COMPREPLY=($(compgen -d -- "$cur")); return',
    other: "return",
    listed: (words) => `COMPREPLY=($(compgen -W "${words}" -- "$cur")); return`,
    indent: "    ",
  });
  return `# bash completion of foster: source <(foster completions bash)
_foster() {
  local IFS=$' \\t\\n'
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local verb="" options="" words="" servers=0 files=0 i name
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
    ${alternatives(everywhere.filter(takesValue))}) i=$((i + 1)) ;;
    -*) ;;
    *) verb="\${COMP_WORDS[i]}"; break ;;
    esac
  done
  case "$prev" in
${values.join("\n")}
  esac
  case "$verb" in
    "") options="${[...globals, "--version"].join(" ")}" words="${names(verbs)}" ;;
    help) words="${names(verbs)}" ;;
${cases.join("\n")}
  esac
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
    return
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ $files == 1 ]]; then
    while IFS= read -r name; do COMPREPLY+=("$(printf '%q' "$name")"); done < <(compgen -f -- "$cur")
  fi
  if [[ $servers == 1 ]]; then
    while IFS= read -r name; do
      [[ "$name" == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
    done < <("\${COMP_WORDS[0]}" completions --names 2>/dev/null)
  fi
}
complete -F _foster foster
`;
}

export function zshScript({ verbs, everywhere }: CompletionTable): string {
  const described = (each: { name: string; summary: string }) =>
    quoted(`${each.name.replaceAll(":", "\\:")}:${each.summary}`);
  const listed = (options: readonly CompletedOption[]) =>
    options.map(({ long, summary }) => described({ name: long, summary })).join(" ");
  const cases = verbs.map(({ name, options, words, servers, files }) =>
    `    ${name}) flags_here=(${listed(options)}) words_here=(${words.join(" ")}) servers=${
      servers ? 1 : 0
    }` + ` files=${files ? 1 : 0} ;;`
  );
  const values = valueCases([...everywhere, ...verbs.flatMap(({ options }) => options)], {
    file: "_files; return",
    folder: "_files -/; return",
    other: "return",
    listed: (words) => `compadd ${words}; return`,
    indent: "    ",
  });
  return `#compdef foster
# zsh completion of foster: foster completions zsh > a file _foster in a folder of $fpath
_foster() {
  local -a verbs flags_here everywhere words_here names
  local verb="" servers=0 files=0 i
  verbs=(${verbs.map(described).join(" ")})
  everywhere=(${listed(everywhere)})
  for ((i = 2; i < CURRENT; i++)); do
    case "\${words[i]}" in
      ${alternatives(everywhere.filter(takesValue))}) i=$((i + 1)) ;;
      -*) ;;
      *) verb="\${words[i]}"; break ;;
    esac
  done
  case "\${words[CURRENT-1]}" in
${values.join("\n")}
  esac
  case "$verb" in
    ""|help) ;;
${cases.join("\n")}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then
    flags_here+=("\${everywhere[@]}")
    _describe -o -t options option flags_here
    return
  fi
  if [[ -z "$verb" || "$verb" == help ]]; then
    _describe -t verbs verb verbs
    return
  fi
  (( \${#words_here} )) && _describe -t words word words_here
  [[ $files == 1 ]] && _files
  if [[ $servers == 1 ]]; then
    names=("\${(@f)$("\${words[1]}" completions --names 2>/dev/null)}")
    compadd -a names
  fi
}
if [[ "\${funcstack[1]}" == _foster ]]; then _foster "$@"; else compdef _foster foster; fi
`;
}

export function fishScript({ verbs, everywhere }: CompletionTable): string {
  const lines = [
    "# fish completion of foster: foster completions fish > ~/.config/fish/completions/foster.fish",
    "complete -c foster -f",
  ];
  const option = (each: CompletedOption, condition: string) => {
    const short = each.short === null ? "" : ` -s ${each.short.slice(1)}`;
    const value = {
      none: "",
      file: " -r -F",
      folder: " -x -a '(__fish_complete_directories)'",
      other: each.values.length === 0 ? " -x" : ` -x -a ${fishQuoted(each.values.join(" "))}`,
    };
    return `complete -c foster${condition} -l ${each.long.slice(2)}${short}${value[each.value]} -d ${
      fishQuoted(each.summary)
    }`;
  };
  for (const each of everywhere) lines.push(option(each, ""));
  for (const { name, summary, options, words, servers, files } of verbs) {
    const here = ` -n '__fish_seen_subcommand_from ${name}'`;
    lines.push(`complete -c foster -n __fish_use_subcommand -a ${name} -d ${fishQuoted(summary)}`);
    for (const each of options) lines.push(option(each, here));
    if (words.length > 0) lines.push(`complete -c foster${here} -a ${fishQuoted(words.join(" "))}`);
    if (files) lines.push(`complete -c foster${here} -F`);
    if (servers) lines.push(`complete -c foster${here} -a '(foster completions --names 2>/dev/null)'`);
  }
  return lines.join("\n") + "\n";
}

export function powershellScript({ verbs, everywhere }: CompletionTable): string {
  const listed = (words: readonly string[]) => `@(${words.map(psQuoted).join(", ")})`;
  const of = (each: CompletedVerb) =>
    `    ${psQuoted(each.name)} = @{ Summary = ${psQuoted(each.summary)}; Servers = $${each.servers}; ` +
    `Words = ${listed(each.words)}; Options = ${listed(flags(each.options))} }`;
  const values = verbs.flatMap(({ options }) => options).filter(hasValues).flatMap((each) =>
    flags([each]).map((flag) => `    ${psQuoted(flag)} = ${listed(each.values)}`)
  );
  return `# PowerShell completion of foster: foster completions powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName foster -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $verbs = [ordered]@{
${verbs.map(of).join("\n")}
  }
  $everywhere = ${listed(flags(everywhere))}
  $values = @{
${values.join("\n")}
  }
  $withValue = ${listed(flags(everywhere.filter(takesValue)))}
  $verb = ''
  $skip = $false
  $previous = ''
  foreach ($element in @($commandAst.CommandElements)) {
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    $previous = $element.Extent.Text
  }
  foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    $text = $element.Extent.Text
    if ($skip) { $skip = $false; continue }
    if ($withValue -contains $text) { $skip = $true; continue }
    if (-not $text.StartsWith('-')) { $verb = $text; break }
  }
  $found = @()
  if ($values.ContainsKey($previous)) {
    $found += $values[$previous]
  } elseif ($wordToComplete.StartsWith('-')) {
    if ($verbs.Contains($verb)) { $found += $verbs[$verb].Options }
    $found += $everywhere
  } elseif ($verb -eq '' -or $verb -eq 'help') {
    $found += $verbs.Keys
  } elseif ($verbs.Contains($verb)) {
    $found += $verbs[$verb].Words
    if ($verbs[$verb].Servers) { $found += @(& foster completions --names 2>$null) }
  }
  foreach ($each in $found) {
    if (-not $each.StartsWith($wordToComplete)) { continue }
    $text = if ($each.Contains(' ')) { "'$each'" } else { $each }
    $tip = if ($verb -eq '' -and $verbs.Contains($each)) { $verbs[$each].Summary } else { $each }
    [System.Management.Automation.CompletionResult]::new($text, $each, 'ParameterValue', $tip)
  }
}
`;
}

function takesValue({ value }: CompletedOption): boolean {
  return value !== "none";
}

function hasValues({ values }: CompletedOption): boolean {
  return values.length > 0;
}

function flags(options: readonly CompletedOption[]): string[] {
  return options.flatMap(({ long, short }) => short === null ? [long] : [long, short]);
}

function names(verbs: readonly CompletedVerb[]): string {
  return verbs.map(({ name }) => name).join(" ");
}

function alternatives(options: readonly CompletedOption[]): string {
  return [...new Set(flags(options))].join("|");
}

/** The branches of a `case` on the word before: what an option's value is completed with. */
function valueCases(
  options: readonly CompletedOption[],
  { indent, listed, ...deeds }: Record<"file" | "folder" | "other", string> & {
    indent: string;
    listed(words: string): string;
  },
): string[] {
  const ofKinds = (["file", "folder", "other"] as const).flatMap((kind) => {
    const those = options.filter((option) => option.value === kind && !hasValues(option));
    return those.length === 0 ? [] : [`${indent}${alternatives(those)}) ${deeds[kind]} ;;`];
  });
  const ofValues = options.filter(hasValues).map((option) =>
    `${indent}${alternatives([option])}) ${listed(option.values.join(" "))} ;;`
  );
  return [...ofValues, ...ofKinds];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function psQuoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
