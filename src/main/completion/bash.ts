import type { CommandNode } from "./command-tree.ts"

/** A completion script for bash. Names and choices are our own words, without anything that a shell would obey. */
export function bashScript(tree: readonly CommandNode[]): string {
  return `# Completion of assay for bash:  source <(assay completion bash)
_assay() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} at="" next i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${at:+$at }\${COMP_WORDS[i]}"
    case "$next" in
      ${pathPattern(tree)}) at=$next ;;
    esac
  done
  case "$at $prev" in
${choiceCases(tree, (words) => `COMPREPLY=($(compgen -W "${words}" -- "$cur"))`)}
  esac
  case "$at" in
${wordCases(tree, (words) => `COMPREPLY=($(compgen -W "${words}" -- "$cur"))`)}
  esac
}
complete -o default -F _assay assay
`
}

export function pathPattern(tree: readonly CommandNode[]): string {
  return tree.flatMap(({ path }) => (path === "" ? [] : [`"${path}"`])).join(" | ")
}

/** After an option with a value: its choices, or what the shell offers by itself (files). */
export function choiceCases(tree: readonly CommandNode[], offer: (words: string) => string, otherwise = ""): string {
  const lines = tree.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(({ flags, choices }) => {
        const pattern = flags.map((flag) => `"${path} ${flag}"`).join(" | ")
        const body = choices.length === 0 ? otherwise : offer(choices.join(" "))
        return `    ${pattern}) ${body === "" ? "" : `${body}; `}return ;;`
      }),
  )
  return lines.join("\n")
}

export function wordCases(tree: readonly CommandNode[], offer: (words: string) => string): string {
  return tree
    .map(({ path, children, options }) => {
      const words = [...children.map(({ name }) => name), ...options.flatMap(({ flags }) => flags)]
      return `    "${path}") ${offer(words.join(" "))} ;;`
    })
    .join("\n")
}
