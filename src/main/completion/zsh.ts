import { choiceCases, pathPattern, wordCases } from "./bash.ts"
import type { CommandNode } from "./command-tree.ts"

/** A completion script for zsh. */
export function zshScript(tree: readonly CommandNode[]): string {
  return `#compdef assay
# Completion of assay for zsh:  assay completion zsh > "\${fpath[1]}/_assay"
_assay() {
  local prev=\${words[CURRENT-1]} at="" next word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    next="\${at:+$at }$word"
    case "$next" in
      ${pathPattern(tree)}) at=$next ;;
    esac
  done
  case "$at $prev" in
${choiceCases(tree, (words) => `compadd -- ${words}`, "_files")}
  esac
  case "$at" in
${wordCases(tree, (words) => `compadd -- ${words}`)}
  esac
}
# Found in fpath, this file is the function itself, the first time; else it was sourced, after compinit.
if [[ "\${funcstack[1]}" == _assay ]]; then
  _assay "$@"
else
  compdef _assay assay
fi
`
}
