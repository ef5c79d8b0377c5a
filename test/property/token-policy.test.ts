import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { decideToken } from "../../src/core/policy/decide-token.ts"
import type { TokenDecision, TokenQuestion } from "../../src/core/policy/token-question.ts"
import { TOKEN_REASONS } from "../../src/core/policy/token-reason.ts"
import { matchesPattern } from "../../src/core/rules/id-pattern.ts"
import type { IdClass } from "../../src/core/rules/pattern-tree.ts"
import { diffTokenRules, type GrantChange } from "../../src/core/rules/token-diff.ts"
import { rightsTo, type TokenRight } from "../../src/core/rules/token-rights.ts"
import type { TokenRulesSpec } from "../../src/core/rules/token-rule.ts"
import { parseSpiffeId, type SpiffeId } from "../../src/core/spiffe/id.ts"
import {
  AUDIENCES,
  CONDITIONS,
  holdingConditions,
  IDS,
  opaqueTable,
  SCOPES,
  tokenQuestion,
  tokenRules,
} from "../support/token-arbitraries.ts"
import { coveringPairs, type Holding, isForbidden } from "../support/token-oracle.ts"

test("[TPO-01] a decision is that of the first covering pairs, and gives no more than a pair of rules gives its subject", () => {
  const seen = { granted: 0, refused: 0 }
  fc.assert(
    fc.property(tokenRules, fc.array(tokenQuestion, QUESTIONS), holdingConditions, (rules, questions, holding) => {
      const table = opaqueTable(rules, () => holding)
      for (const question of questions) {
        const decision = decideToken(question, table)
        seen[decision.kind]++
        if (decision.kind === "refused") assert.ok(Object.hasOwn(TOKEN_REASONS, decision.reason))
        checkDecision(decision, question, rules, holding)
      }
    }),
    { numRuns: RUNS },
  )
  for (const [outcome, count] of Object.entries(seen)) assert.ok(count > RUNS / 4, `${outcome}: ${count}`)
})

function checkDecision(
  decision: TokenDecision,
  question: TokenQuestion,
  rules: TokenRulesSpec,
  holding: Holding,
): void {
  const covering = question.audiences.map((audience) => coveringPairs(question, audience, rules, holding))
  const firsts = covering.flatMap((pairs) => pairs[0] ?? [])
  const algorithms = new Set(firsts.map(({ accepts }) => accepts.algorithm))
  const isGrantable = !isForbidden(question) && firsts.length === covering.length && algorithms.size === 1
  assert.equal(decision.kind === "granted", isGrantable, JSON.stringify(decision))
  if (decision.kind === "refused") return
  const asked = question.scopes ?? decision.scopes
  assert.deepEqual(decision.scopes, asked)
  assert.equal(decision.ttl, Math.min(question.ttl ?? 9999, ...firsts.map(({ accepts }) => accepts.ttl)))
  assert.deepEqual(new Set(decision.exports.split(",")), new Set(firsts.map(({ exports }) => exports.name)))
  assert.deepEqual(new Set(decision.accepts.split(",")), new Set(firsts.map(({ accepts }) => accepts.name)))
  if (question.scopes === undefined) {
    const inAll = SCOPES.filter((scope) => firsts.every(({ accepts }) => accepts.defaultScopes.includes(scope)))
    const allowed = inAll.filter((scope) => question.subjectScopes?.includes(scope) ?? true)
    assert.deepEqual([...decision.scopes].sort(), allowed.sort())
  }
  // Said once more without the order of rules: for each audience some pair gives all that is granted.
  for (const pairs of covering) {
    const gives = pairs.some(
      ({ accepts }) =>
        decision.scopes.every((scope) => accepts.scopes.includes(scope)) &&
        decision.ttl <= accepts.ttl &&
        decision.algorithm === accepts.algorithm &&
        (accepts.mayOutliveSubject || !decision.mayOutliveSubject),
    )
    assert.ok(gives)
  }
}

test("[TPO-01] rules that are about other audiences or other subjects change no decision, wherever they stand", () => {
  fc.assert(
    fc.property(
      tokenRules,
      tokenRules,
      fc.nat(4),
      tokenQuestion,
      holdingConditions,
      (rules, more, at, asked, holding) => {
        const question = { ...asked, audiences: ["x"] }
        const foreign = (audiences: readonly string[]) => !audiences.includes("x") && !audiences.includes("*")
        const others = {
          exports: more.exports.filter(({ audiences }) => foreign(audiences)),
          accepts: more.accepts.filter(({ audiences }) => foreign(audiences)),
        }
        const elsewhere = {
          exports: more.exports.map((rule) => ({ ...rule, subjects: ["/elsewhere/*"] })),
          accepts: more.accepts.map((rule) => ({ ...rule, subjects: ["/elsewhere/*"] })),
        }
        const alone = outcomeOf(
          decideToken(
            question,
            opaqueTable(rules, () => holding),
          ),
        )
        for (const unrelated of [others, elsewhere]) {
          const mixed = {
            exports: inserted(rules.exports, unrelated.exports, at),
            accepts: inserted(rules.accepts, unrelated.accepts, at),
          }
          assert.equal(
            outcomeOf(
              decideToken(
                question,
                opaqueTable(mixed, () => holding),
              ),
            ),
            alone,
          )
        }
      },
    ),
    { numRuns: RUNS },
  )
})

test("[TPO-11] who-can lists exactly what is granted: of its rights the first that covers a question is the decision", () => {
  const seen = { granted: 0, refused: 0 }
  fc.assert(
    fc.property(tokenRules, fc.array(tokenQuestion, QUESTIONS), holdingConditions, (rules, questions, holding) => {
      const table = opaqueTable(rules, () => holding)
      const rights = new Map(AUDIENCES.map((audience) => [audience, rightsTo(audience, table)]))
      for (const asked of questions) {
        const question = { ...asked, audiences: asked.audiences.slice(0, 1), subjectScopes: undefined }
        const decision = decideToken(question, table)
        seen[decision.kind]++
        const all = rights.get(question.audiences[0] ?? "") ?? []
        const right = all.find((one) => rightCovers(one, question, holding))
        assert.equal(outcomeOf(decision), right === undefined ? "refused" : outcomeOfRight(right, question))
      }
    }),
    { numRuns: RUNS },
  )
  for (const [outcome, count] of Object.entries(seen)) assert.ok(count > RUNS / 4, `${outcome}: ${count}`)
})

test("[TPO-12] a question gets something else by another table if and only if it is in a change of the diff", () => {
  const seen = { same: 0, different: 0, changes: 0 }
  const pair = fc.oneof(fc.tuple(tokenRules, tokenRules), fc.tuple(tokenRules, tokenRules, fc.nat(3)).map(mutated))
  fc.assert(
    fc.property(pair, fc.array(tokenQuestion, QUESTIONS), holdingConditions, ([old, next], questions, holding) => {
      let now: Holding = holding
      const tables = [opaqueTable(old, () => now), opaqueTable(next, () => now)] as const
      const outcomes = (question: TokenQuestion) => tables.map((table) => effectOf(decideToken(question, table)))
      const changes = [...diffTokenRules(...tables)]
      for (const asked of questions) {
        const question = { ...asked, audiences: asked.audiences.slice(0, 1) }
        const [before, after] = outcomes(question)
        seen[before === after ? "same" : "different"]++
        const isFound = changes.some((change) => isIn(change, question))
        assert.ok(before === after || isFound, JSON.stringify(question))
      }
      for (const change of changes.slice(0, MAX_CHANGES)) {
        seen.changes++
        for (const question of questionsIn(change)) {
          const differs = assignments().some((holds) => {
            now = holds
            return scopeSets().some((scopes) => {
              const [before, after] = outcomes({ ...question, scopes })
              return before !== after
            })
          })
          assert.ok(differs, JSON.stringify({ change, question }))
        }
      }
    }),
    { numRuns: RUNS / 4 },
  )
  for (const [outcome, count] of Object.entries(seen)) assert.ok(count > RUNS / 20, `${outcome}: ${count}`)
})

test("[TPO-12] a table that is written in another way has no difference", () => {
  fc.assert(
    fc.property(tokenRules, (rules) => {
      const split = <Rule extends { readonly name: string; readonly subjects: readonly string[] }>(rule: Rule) =>
        rule.subjects.map((subject, i) => ({ ...rule, name: `${rule.name}-${i}`, subjects: [subject] }))
      const rewritten = {
        exports: rules.exports.flatMap(split).reverse(),
        accepts: rules.accepts.flatMap((rule) => [...split(rule), { ...rule, name: `${rule.name}-again` }]),
      }
      const none = () => new Set<string>()
      assert.deepEqual([...diffTokenRules(opaqueTable(rules, none), opaqueTable(rewritten, none))], [])
    }),
    { numRuns: RUNS / 10 },
  )
})

/** One of the tables as it is, and the same with one rule of the other, or without one. */
function mutated([rules, other, at]: readonly [TokenRulesSpec, TokenRulesSpec, number]): readonly [
  TokenRulesSpec,
  TokenRulesSpec,
] {
  const accepts = rules.accepts.map((rule, i) => (i === at % rules.accepts.length ? { ...rule, ttl: 90 } : rule))
  const swapped = { exports: rules.exports, accepts: at % 2 === 0 ? accepts : [...rules.accepts].reverse() }
  const dropped = { exports: inserted(rules.exports.slice(1), other.exports.slice(0, 1), at), accepts: rules.accepts }
  return [rules, at > 1 ? dropped : swapped]
}

function inserted<Rule extends { readonly name: string }>(rules: readonly Rule[], more: readonly Rule[], at: number) {
  return [...rules.slice(0, at), ...more.map((rule) => ({ ...rule, name: `more-${rule.name}` })), ...rules.slice(at)]
}

function outcomeOf(decision: TokenDecision): string {
  if (decision.kind === "refused") return "refused"
  return JSON.stringify([decision.exports, decision.accepts, effectOf(decision)])
}

/** What the caller gets, whichever rules give it. */
function effectOf(decision: TokenDecision): string {
  if (decision.kind === "refused") return "refused"
  const { scopes, ttl, algorithm, mayOutliveSubject } = decision
  return JSON.stringify([[...scopes].sort(), ttl, algorithm, mayOutliveSubject])
}

function outcomeOfRight(right: TokenRight, question: TokenQuestion): string {
  const scopes = [...(question.scopes ?? right.defaultScopes)].sort()
  const ttl = Math.min(question.ttl ?? 9999, right.ttl)
  return JSON.stringify([
    right.exports,
    right.accepts,
    JSON.stringify([scopes, ttl, right.algorithm, right.mayOutliveSubject]),
  ])
}

function rightCovers(right: TokenRight, question: TokenQuestion, holding: Holding): boolean {
  const [actor] = question.actors
  return (
    right.mode === question.mode &&
    matchesPattern(right.subject, question.subject) &&
    matchesPattern(right.client, question.client) &&
    (right.actor === undefined) === (actor === undefined) &&
    (right.actor === undefined || actor === undefined || matchesPattern(right.actor, actor)) &&
    right.products.includes(question.product) &&
    right.grants.includes(question.grant) &&
    (right.bindings.includes("none") || right.bindings.includes(question.binding)) &&
    (question.scopes ?? []).every((scope) => right.scopes.includes(scope)) &&
    right.when.every((text) => holding.has(text))
  )
}

function isIn(change: GrantChange, question: TokenQuestion): boolean {
  const [actor] = question.actors
  const has = (classes: readonly IdClass[] | undefined, id: SpiffeId | undefined) =>
    classes === undefined || (id !== undefined && classes.some((one) => isOf(one, id)))
  return (
    question.audiences.includes(change.audience) &&
    change.mode === question.mode &&
    has(change.subjects, question.subject) &&
    has(change.clients, question.client) &&
    has(change.actors, actor) &&
    change.products.includes(question.product) &&
    change.grants.includes(question.grant) &&
    change.bindings.includes(question.binding)
  )
}

function isOf({ pattern, except }: IdClass, id: SpiffeId): boolean {
  return matchesPattern(pattern, id) && !except.some((part) => matchesPattern(part, id))
}

/** Questions of a change: each class of parties, and each kind, in one of them at least. */
function questionsIn(change: GrantChange): readonly TokenQuestion[] {
  const subjects = change.subjects.map(memberOf)
  const clients = change.clients?.map(memberOf) ?? [undefined]
  const actors = change.actors?.map(memberOf) ?? [undefined]
  const kinds = change.products.flatMap((product) =>
    change.grants.flatMap((grant) => change.bindings.map((binding) => ({ product, grant, binding }))),
  )
  const rows = Math.max(subjects.length, clients.length, actors.length, kinds.length)
  const nth = <T>(all: readonly T[], i: number): T => all[i % all.length] ?? assert.fail("nothing to choose from")
  return Array.from({ length: rows }, (_, i): TokenQuestion => {
    const subject = nth(subjects, i)
    const actor = actors[i % actors.length]
    return {
      ...nth(kinds, i),
      subject,
      client: clients[i % clients.length] ?? subject,
      actors: actor === undefined ? [] : [actor],
      mode: change.mode,
      audiences: [change.audience],
      scopes: undefined,
      subjectScopes: undefined,
      ttl: undefined,
    }
  })
}

function memberOf(one: IdClass): SpiffeId {
  if (one.pattern.kind === "exact") return one.pattern.id
  return IDS.find((id) => isOf(one, id)) ?? parseSpiffeId(`${one.pattern.prefix}/somebody`)
}

function assignments(): readonly Holding[] {
  return subsetsOf(CONDITIONS).map((texts) => new Set(texts))
}

function scopeSets(): readonly (readonly string[] | undefined)[] {
  return [undefined, ...subsetsOf(SCOPES)]
}

function subsetsOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: 2 ** items.length }, (_, bits) => items.filter((_, i) => (bits >> i) % 2 === 1))
}

const RUNS = 2_000
const QUESTIONS = { minLength: 10, maxLength: 20 }
const MAX_CHANGES = 12
