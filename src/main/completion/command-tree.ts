import type { Command, Option } from "commander"

/** What can be written after one command: the parts of a completion script. */
export interface CommandNode {
  /** Names from below the program, with a space between them; empty for the program itself. */
  readonly path: string
  /** Commands below, and good values of arguments. */
  readonly children: readonly { readonly name: string; readonly summary: string }[]
  readonly options: readonly OptionNode[]
}

export interface OptionNode {
  /** As written, e.g. `-o` and `--output`. */
  readonly flags: readonly string[]
  readonly summary: string
  /** It is followed by a value. */
  readonly takesValue: boolean
  /** Values that are good; empty for any. */
  readonly choices: readonly string[]
}

/** The command itself and all below it, each before its children. */
export function commandTree(command: Command, path = ""): readonly CommandNode[] {
  const below = command.commands.flatMap((child) =>
    commandTree(child, path === "" ? child.name() : `${path} ${child.name()}`),
  )
  const children = command.commands.map((child) => ({ name: child.name(), summary: child.description() }))
  const words = command.registeredArguments.flatMap(({ description, argChoices = [] }) =>
    argChoices.map((name) => ({ name, summary: description })),
  )
  return [{ path, children: [...children, ...words], options: [...command.options.map(optionNode), HELP] }, ...below]
}

function optionNode(option: Option): OptionNode {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined && flag !== null)
  return { flags, summary: option.description, takesValue: option.required, choices: option.argChoices ?? [] }
}

const HELP: OptionNode = { flags: ["-h", "--help"], summary: "more about this command", takesValue: false, choices: [] }
