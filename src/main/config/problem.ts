import { IdentityError } from "../../core/errors.ts"

/** One thing that is wrong with a configuration file. */
export interface ConfigProblem {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly column: number
  /** e.g. `clusters[0].keys.jwks_url`; empty for the whole file. */
  readonly key: string
  readonly message: string
}

/** A configuration that is refused, with everything that is wrong with it. */
export class ConfigError extends IdentityError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super("malformed", problems.map(renderProblem).join("\n"), { reason: "invalid-configuration" })
    this.problems = problems
  }
}

/** `file:line:column: key: message`, which editors and terminals make a link of. */
export function renderProblem(problem: ConfigProblem): string {
  const key = problem.key === "" ? "" : `${problem.key}: `
  return `${problem.file}:${problem.line}:${problem.column}: ${key}${problem.message}`
}
