import { type Command, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { loadAgentConfig } from "../config/agent-config.ts"
import type { ConfigKind } from "../config/json-schema.ts"
import { ConfigError, type ConfigProblem, renderProblem } from "../config/problem.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { answering } from "./answering.ts"

interface ValidateOptions {
  readonly config: string
  readonly kind: ConfigKind
  readonly output: "text" | "json"
}

/** `assay validate`: check a configuration file and exit 0 or 1. @see CFG-10 CLI-10 */
export function registerValidate(program: Command): void {
  program
    .command("validate")
    .description("check a configuration file: its keys, its values, its rules, and what contradicts each other")
    .requiredOption("-c, --config <file>", "the file")
    .addOption(new Option("--kind <kind>", "whose configuration it is").choices(["server", "agent"]).default("server"))
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["text", "json"]).default("text"))
    .addHelpText(
      "after",
      "\nExit code: 0 valid, 1 invalid, 66 the file cannot be read.\n\nExample:\n  assay validate --config assay.yaml && kill -HUP <pid of the server>",
    )
    .action(answering(validate))
}

async function validate({ config, kind, output }: ValidateOptions): Promise<number> {
  const result = await check(config, kind)
  if (output === "json") process.stdout.write(`${JSON.stringify(result)}\n`)
  else process.stdout.write(renderText(config, result))
  return result.valid ? 0 : 1
}

interface Result {
  readonly valid: boolean
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigProblem[]
  /** What to try instead, when the file would be valid for another process. */
  readonly next?: string
}

async function check(file: string, kind: ConfigKind): Promise<Result> {
  try {
    return { valid: true, problems: [], warnings: await warningsOf(file, kind) }
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    const invalid = { valid: false, problems: thrown.problems, warnings: [] }
    const other = kind === "server" ? "agent" : "server"
    return (await isValid(file, other))
      ? { ...invalid, next: `it is valid for the ${other}: --kind ${other}` }
      : invalid
  }
}

async function isValid(file: string, kind: ConfigKind): Promise<boolean> {
  try {
    await warningsOf(file, kind)
    return true
  } catch {
    return false
  }
}

async function warningsOf(file: string, kind: ConfigKind): Promise<readonly ConfigProblem[]> {
  if (kind === "server") return (await loadServerConfig(file, makeCelConditions().compile)).warnings
  await loadAgentConfig(file)
  return []
}

function renderText(file: string, { valid, problems, warnings, next }: Result): string {
  const lines = [
    ...problems.map(renderProblem),
    ...warnings.map((warning) => `${renderProblem(warning)} (warning)`),
    valid ? `${file}: valid` : `${file}: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}`,
    ...(next === undefined ? [] : [`next: ${next}`]),
  ]
  return `${lines.join("\n")}\n`
}
