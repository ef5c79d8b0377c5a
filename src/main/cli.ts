#!/usr/bin/env -S node --max-semi-space-size=16 --v8-pool-size=1
import { realpathSync } from "node:fs"
import { Command } from "commander"
import packageJson from "../../package.json" with { type: "json" }
import { IdentityError } from "../core/errors.ts"
import { describeFailure, type FailureForm, UsageError } from "./command-failure.ts"
import { COMMANDS, registerCommand } from "./command-table.ts"
import { nearestName } from "./config/suggest.ts"

/**
 * The command line. A command `<name>` lives in `commands/<name>.ts` (or the module that {@link COMMANDS} says) and exports
 * `register<Module>(program: Command): void`, which adds exactly one sub-command. Only the module of the command that is
 * asked for is loaded. What an action throws is printed in one line and becomes the exit code; see `command-failure.ts`.
 */
export async function runCli(given: readonly string[]): Promise<number> {
  const argv = helpAsOption(given)
  let program: Command | undefined
  try {
    program = await buildProgram(argv)
    demandCommands(argv, program)
    await program.parseAsync(
      argv.filter((argument, i) => argument !== "--verbose" || isAfterDashes(argv, i)),
      { from: "user" },
    )
    return typeof process.exitCode === "number" ? process.exitCode : 0
  } catch (thrown) {
    const { text, exitCode } = describeFailure(thrown, formOf(argv, program))
    process.stderr.write(text)
    return exitCode
  }
}

/** The program with the command that `argv` names; the others are only listed. @see CFG-11 */
export async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command("assay")
    .description("Workload identity and certificate authority: a platform token in, a rotating SPIFFE SVID out.")
    .usage("<command> [options]")
    .option("--verbose", "print where an error comes from")
    .version(packageJson.version)
    .helpCommand(false)
    .exitOverride()
    // What is wrong is printed by describeFailure, once and in the form that was asked for.
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", EXAMPLES)
  const wanted = argv.find((argument) => !argument.startsWith("-"))
  for (const [name, { summary, module }] of COMMANDS) {
    if (name === wanted) await registerCommand(program, module)
    else program.command(name).description(summary)
  }
  // For `assay help`; the commands have copied the settings already.
  program.allowExcessArguments().action(() => {
    program.help()
  })
  return program
}

/** `assay help rotation start` is `assay rotation start --help`. */
function helpAsOption(argv: readonly string[]): readonly string[] {
  const [first, ...names] = argv
  return first === "help" && names.length > 0 ? [...names, "--help"] : argv
}

/** Of a command that there is not, help would be of something else. @throws UsageError with the nearest that there is @see CFG-12 */
function demandCommands(argv: readonly string[], program: Command): void {
  const names: string[] = []
  let at = program
  for (const word of argv.filter((argument) => argument !== "--verbose")) {
    if (word.startsWith("-") || word === "help" || at.commands.length === 0) return
    const child = at.commands.find((command) => command.name() === word)
    if (child === undefined) throw unknownCommand([...names, word].join(" "), word, at)
    names.push(word)
    at = child
  }
}

function unknownCommand(name: string, word: string, { commands }: Command): UsageError {
  const meant = nearestName(
    word,
    commands.map((command) => command.name()),
  )
  return new UsageError(`there is no command "${name}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`)
}

function formOf(argv: readonly string[], program?: Command): FailureForm {
  return { json: asksForJson(argv), verbose: argv.includes("--verbose"), command: commandIn(argv, program) }
}

/** The words of `argv` that name a command, as far as they do. */
function commandIn(argv: readonly string[], program: Command | undefined): string {
  const names = ["assay"]
  let at = program
  for (const word of argv) {
    if (word === "--verbose") continue
    at = at?.commands.find((child) => child.name() === word)
    if (at === undefined) break
    names.push(word)
  }
  return names.join(" ")
}

function asksForJson(argv: readonly string[]): boolean {
  return argv.some((argument, i) => {
    if (isAfterDashes(argv, i)) return false
    const flag = argument === "-o" || argument === "--output"
    return (flag && argv[i + 1] === "json") || argument === "-ojson" || argument === "--output=json"
  })
}

/** What follows `--` belongs to another program. */
function isAfterDashes(argv: readonly string[], index: number): boolean {
  const dashes = argv.indexOf("--")
  return dashes !== -1 && index > dashes
}

/** True when Node runs this very file, also through a link in `node_modules/.bin`. */
function isMain(): boolean {
  const script = process.argv[1]
  return script !== undefined && realpathSync(script) === import.meta.filename
}

/**
 * Who reads the output may have enough of it, as `head` does: then there is nothing more to say, and the process ends as if by SIGPIPE.
 * @see CLI-09
 */
function endWithReader(output: NodeJS.WriteStream, argv: readonly string[]): void {
  output.on("error", (cause: NodeJS.ErrnoException) => {
    if (cause.code === "EPIPE") process.exit(EXIT_SIGPIPE)
    const { text, exitCode } = describeFailure(unwritable(cause), formOf(argv))
    process.stderr.write(text)
    process.exit(exitCode)
  })
}

function unwritable(cause: Error): IdentityError {
  const next = "make room, or send it somewhere else"
  return new IdentityError("not-ready", "the output cannot be written", { cause, reason: "output-unwritable", next })
}

const EXIT_SIGPIPE = 128 + 13
const EXAMPLES = `
Examples:
  assay validate --config assay.yaml           check a file before a server reads it
  assay init --config assay.yaml               make the trust domain, once
  assay server --config assay.yaml             serve identities
  assay bundle show --config assay.yaml        what are its peers to trust?
  assay explain --config assay.yaml --token -  why does this token get no identity?
  assay api fetch x509                         what does this workload hold?
  assay <command> --help                       more about one command`

if (isMain()) {
  const argv = process.argv.slice(2)
  endWithReader(process.stdout, argv)
  process.exitCode = await runCli(argv)
}
