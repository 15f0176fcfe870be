/**
 * What each shell needs to complete foster's command lines: all of them ask `foster complete` for the candidates.
 *
 * @module
 */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = typeof SHELLS[number];

export const SHIMS: Readonly<Record<Shell, string>> = {
  // 3.2 and later, which macOS still has: without compopt.
  bash: `# bash completion of foster: source <(foster completions bash)
_foster() {
  local IFS=$'\\n' word
  COMPREPLY=()
  while read -r word; do
    COMPREPLY+=("$(printf '%q' "$word")")
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [[ "\${COMPREPLY[0]-}" == */ ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _foster foster
`,
  zsh: `#compdef foster
# zsh completion of foster: foster completions zsh > a file _foster in a folder of $fpath
_foster() {
  local -a found folders
  found=(\${(f)"$("\${words[1]}" complete --describe -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)"})
  folders=(\${(M)found:#*/})
  found=(\${\${\${found:#*/}//:/\\\\:}/$'\\t'/:})
  _describe -t candidates candidate found
  compadd -S '' -a folders
}
if [[ "\${funcstack[1]}" == _foster ]]; then _foster "$@"; else compdef _foster foster; fi
`,
  fish: `# fish completion of foster: foster completions fish > ~/.config/fish/completions/foster.fish
function __foster_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    foster complete --describe -- $words "$current" 2>/dev/null
end
complete -c foster -f -a '(__foster_candidates)'
`,
  // Some versions drop an empty argument: --next stands for it.
  powershell:
    `# PowerShell completion of foster: foster completions powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName foster -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.Extent.Text })
  if ($wordToComplete -eq '') { $found = & foster complete --describe --next -- @words 2>$null }
  else { $found = & foster complete --describe -- @words $wordToComplete 2>$null }
  foreach ($each in $found) {
    $text, $tip = $each -split "\`t", 2
    $typed = if ($text.Contains(' ')) { "'$text'" } else { $text }
    if (-not $tip) { $tip = $text }
    [System.Management.Automation.CompletionResult]::new($typed, $text, 'ParameterValue', $tip)
  }
}
`,
};
