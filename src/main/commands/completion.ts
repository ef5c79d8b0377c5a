import { Argument, type Command } from "commander"
import { buildWholeProgram } from "../command-table.ts"
import { bashScript } from "../completion/bash.ts"
import { commandTree } from "../completion/command-tree.ts"
import { fishScript } from "../completion/fish.ts"
import { zshScript } from "../completion/zsh.ts"

/** `assay completion`: what shells complete command lines by, made from the commands there are. @see ADM-37 */
export function registerCompletion(program: Command): void {
  program
    .command("completion")
    .description("print what completes command lines in a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", "\nExample:\n  source <(assay completion bash)")
    .action(async (shell: keyof typeof SCRIPTS) => {
      process.stdout.write(SCRIPTS[shell](commandTree(await buildWholeProgram())))
    })
}

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const
