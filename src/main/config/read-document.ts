import type { z } from "zod"
import { knownKeys } from "./known-keys.ts"
import { ConfigError, type ConfigProblem } from "./problem.ts"
import { nearestName } from "./suggest.ts"
import { parseYaml, type YamlSource } from "./yaml-source.ts"

/** A file that has the right shape, and the means to say where in it something else is wrong. */
export interface ReadDocument<T> {
  readonly value: T
  readonly source: YamlSource
}

/** Parse text and check its shape. @throws ConfigError with everything that is wrong @see CFG-01 CFG-04 */
export function readDocument<S extends z.ZodType>(schema: S, text: string, file: string): ReadDocument<z.output<S>> {
  const source = parseYaml(text, file)
  const result = schema.safeParse(source.data, { error: plainMessage, reportInput: true })
  if (result.success) return { value: result.data, source }
  throw new ConfigError(
    result.error.issues.flatMap((issue) => problemsOf(issue, schema, source)).slice(0, MAX_PROBLEMS),
  )
}

function problemsOf(issue: z.core.$ZodIssue, schema: z.ZodType, source: YamlSource): readonly ConfigProblem[] {
  const path = issue.path.filter((part) => typeof part !== "symbol")
  if (issue.code !== "unrecognized_keys") return [source.problem(path, issue.message)]
  const known = knownKeys(schema, path)
  return issue.keys.map((key) => {
    const meant = nearestName(key, known)
    const hint = meant === undefined ? `known here: ${known.join(", ")}` : `did you mean "${meant}"?`
    return source.problem([...path, key], `unknown key; ${hint}`)
  })
}

/** Messages for what the schema itself does not word. */
function plainMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "invalid_type") {
    return issue.input === undefined ? "is required" : `must be ${TYPE_NAMES.get(issue.expected) ?? issue.expected}`
  }
  if (issue.code === "invalid_value") {
    return issue.input === undefined ? "is required" : `must be one of ${issue.values.map(String).join(", ")}`
  }
  if (issue.code === "too_small" && issue.origin === "number") return `must be at least ${issue.minimum}`
  if (issue.code === "too_big" && issue.origin === "number") return `must be at most ${issue.maximum}`
  if (issue.code === "too_big" && issue.origin === "array") return `must have at most ${issue.maximum} items`
  return undefined
}

const MAX_PROBLEMS = 50
const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ["string", "text"],
  ["int", "a whole number"],
  ["number", "a number"],
  ["boolean", "true or false"],
  ["array", "a list"],
  ["object", "a mapping"],
])
