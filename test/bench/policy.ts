import { decideToken } from "../../src/core/policy/decide-token.ts"
import type { TokenQuestion } from "../../src/core/policy/token-question.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { accepting, exporting, tokenTable } from "../support/token-rules.ts"
import { median } from "./rounds.ts"

/** What one decision costs, in microseconds, with so many rules in the table. */
export interface PolicyCosts {
  readonly rules10: number
  readonly rules1000: number
  readonly rules10000: number
}

/**
 * Half of the rules are exports and half accepts, of services with an audience each; every accept has a CEL condition. The questions
 * are spread over the whole table, and few enough that what is measured is the look-up, not the processor's cache. The three tables are measured in turn, so that a change of the machine's speed meets all of them.
 */
export function measurePolicy(seconds: number): PolicyCosts {
  const sides = [10, 1000, 10_000].map((rules) => ({ table: tableOf(rules / 2), questions: questionsFor(rules / 2) }))
  const costs = sides.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, side] of sides.entries()) costs[i]?.push(costOf(side, (seconds * 1000) / ROUNDS / sides.length))
  }
  const [rules10 = 0, rules1000 = 0, rules10000 = 0] = costs.map(median)
  return { rules10, rules1000, rules10000 }
}

interface Side {
  readonly table: RuleTable
  readonly questions: readonly TokenQuestion[]
}

function costOf({ table, questions }: Side, millis: number): number {
  const begun = performance.now()
  let decided = 0
  while (performance.now() - begun < millis) {
    for (const question of questions) {
      if (decideToken(question, table).kind !== "granted") throw new Error("the bench's question was refused")
    }
    decided += questions.length
  }
  return ((performance.now() - begun) * 1000) / decided
}

function tableOf(services: number): RuleTable {
  const each = Array.from({ length: services }, (_, i) => i)
  return tokenTable(
    each.map((i) => exporting({ name: `export-${i}`, subjects: [workload(i)], audiences: [audience(i)] })),
    each.map((i) =>
      accepting({ name: `accept-${i}`, audiences: [audience(i)], subjects: [`${namespace(i)}/*`], when: CONDITION }),
    ),
  )
}

function questionsFor(services: number): readonly TokenQuestion[] {
  return Array.from({ length: QUESTIONS }, (_, k) => {
    const i = Math.floor((k * services) / QUESTIONS)
    const subject = parseSpiffeId(`spiffe://prod.example${workload(i)}`)
    return {
      grant: "client_credentials",
      product: "access-token",
      client: subject,
      subject,
      actors: [],
      mode: "self",
      audiences: [audience(i)],
      scopes: ["read"],
      subjectScopes: undefined,
      ttl: undefined,
      binding: "none",
    }
  })
}

const namespace = (i: number): string => `/ns/team-${i % 97}`
const workload = (i: number): string => `${namespace(i)}/sa/service-${i}`
const audience = (i: number): string => `https://service-${i}.prod.example`
const CONDITION = 'subject.trust_domain == "prod.example"'
const QUESTIONS = 64
const ROUNDS = 5
