import { TypeError as CelTypeError, Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js"
import { IdentityError } from "../../core/errors.ts"
import type { Condition, ConditionInputs } from "../../core/rules/condition.ts"
import type { ConditionCompiler } from "../../ports/conditions.ts"
import { refuseUnbounded } from "./cel-subset.ts"

/** Conditions in CEL, in the subset whose cost is bounded by the length of the expression and of what it reads. @see RUL-06 */
export function makeCelConditions(): ConditionCompiler {
  const environments = { caller: callerEnvironment(), token: tokenEnvironment() }
  return { compile: (expression, over) => compile(environments[over], expression) }
}

function compile(environment: Environment, expression: string): Condition<ConditionInputs[keyof ConditionInputs]> {
  const parsed = parse(environment, expression)
  const checked = parsed.check()
  if (!checked.valid) throw malformed(checked.error?.summary ?? "is not well typed", checked.error?.range?.start)
  if (checked.type !== "bool") throw malformed(`gives ${checked.type}, not bool`, 0)
  refuseUnbounded(parsed.ast)
  return (input) => {
    try {
      const value: unknown = parsed({ ...input })
      return { kind: value === true ? "matched" : "not-matched" }
    } catch (thrown) {
      return { kind: "error", reason: thrown instanceof EvaluationError ? thrown.summary : "evaluation failed" }
    }
  }
}

function parse(environment: Environment, expression: string): ReturnType<Environment["parse"]> {
  try {
    return environment.parse(expression)
  } catch (thrown) {
    if (thrown instanceof ParseError || thrown instanceof CelTypeError || thrown instanceof EvaluationError) {
      throw malformed(thrown.summary, thrown.range?.start)
    }
    throw thrown
  }
}

function callerEnvironment(): Environment {
  const object = { name: "string", uid: "string" }
  return new Environment({ limits: LIMITS }).registerVariable({
    name: "subject",
    schema: {
      cluster: "string",
      namespace: "string",
      service_account: "string",
      pod: object,
      node: object,
      degraded: "bool",
    },
  })
}

function tokenEnvironment(): Environment {
  const party = { id: "string", trust_domain: "string", path: "string" }
  const request = {
    grant: "string",
    product: "string",
    mode: "string",
    audience: "string",
    binding: "string",
    scopes: "list<string>",
    ttl: "int",
  }
  return new Environment({ limits: LIMITS })
    .registerVariable({ name: "subject", schema: party })
    .registerVariable({ name: "client", schema: party })
    .registerVariable({ name: "actor", schema: party })
    .registerVariable({ name: "request", schema: request })
}

function malformed(summary: string, offset: number | undefined): IdentityError {
  const where = offset === undefined ? "" : ` at character ${offset + 1}`
  return new IdentityError("malformed", `CEL${where}: ${summary}`, { reason: "invalid-condition" })
}

const LIMITS = { maxAstNodes: 1024, maxDepth: 32, maxListElements: 256, maxMapEntries: 0, maxCallArguments: 4 }
