import type { CompileCondition } from "../core/rules/condition.ts"

/** The expression language of rules. Expressions are typed: what compiles cannot name a field that does not exist. */
export interface ConditionCompiler {
  readonly compile: CompileCondition
}
