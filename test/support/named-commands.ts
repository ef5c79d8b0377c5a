import { buildWholeProgram } from "../../src/main/command-table.ts"

/** Tells of the commands in a text (`assay consumers list`) those that cannot be run as they stand there. */
export async function openNamedCommands(): Promise<(text: string) => readonly string[]> {
  const { commands } = await buildWholeProgram()
  return (text) =>
    [...text.matchAll(/\bassay ([a-z]+)(?: ([a-z-]+))?/g)].flatMap(([whole, name, part]) => {
      const command = commands.find((one) => one.name() === name)
      const isWhole = command?.commands.length === 0 || command?.commands.some((one) => one.name() === part) === true
      return isWhole ? [] : [whole]
    })
}
