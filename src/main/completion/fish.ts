import type { CommandNode, OptionNode } from "./command-tree.ts"

/** A completion script for fish. */
export function fishScript(tree: readonly CommandNode[]): string {
  const paths = tree.flatMap(({ path }) => (path === "" ? [] : [`'${path}'`])).join(" ")
  const lines = tree.flatMap(({ path, children, options }) => {
    const here = `complete -c assay -n '__assay_at "${path}"'`
    return [
      ...children.map(({ name, summary }) => `${here} -f -a ${name} -d ${quoted(summary)}`),
      ...options.map((option) => `${here} ${optionWords(option)}`),
    ]
  })
  return `# Completion of assay for fish:  assay completion fish > ~/.config/fish/completions/assay.fish
function __assay_at
  set -l at ""
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$at $word")
    contains -- $next ${paths}
    and set at $next
  end
  test "$at" = "$argv[1]"
end
${lines.join("\n")}
`
}

function optionWords({ flags, summary, takesValue, choices }: OptionNode): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
  const value = choices.length > 0 ? ["-x", `-a ${quoted(choices.join(" "))}`] : takesValue ? ["-r"] : []
  return [...names, ...value, `-d ${quoted(summary)}`].join(" ")
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, (mark) => `\\${mark}`)}'`
}
