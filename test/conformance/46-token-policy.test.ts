import assert from "node:assert/strict"
import { test } from "node:test"
import { decideToken } from "../../src/core/policy/decide-token.ts"
import type { TokenDecision, TokenQuestion } from "../../src/core/policy/token-question.ts"
import { TOKEN_REASONS } from "../../src/core/policy/token-reason.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import { accepting, exporting, question, tokenTable } from "../support/token-rules.ts"

const OTHERS = { modes: ["self", "impersonation", "delegation"] } as const

/** Names of the pair, or the reason. */
function outcome(decision: TokenDecision): string {
  return decision.kind === "granted" ? `${decision.exports} ${decision.accepts}` : decision.reason
}

function ask(table: RuleTable, parts: Parameters<typeof question>[0] = {}): string {
  return outcome(decideToken(question(parts), table))
}

function granted(table: RuleTable, asked: TokenQuestion) {
  const decision = decideToken(asked, table)
  return decision.kind === "granted" ? decision : assert.fail(decision.reason)
}

test("[TPO-01] nothing is granted by an empty table, and the same question gets the same answer", () => {
  assert.equal(ask(tokenTable([], [])), "audience-unknown")
  const table = tokenTable([exporting()], [accepting()])
  assert.deepEqual(decideToken(question(), table), decideToken(question(), table))
  assert.deepEqual(granted(table, question()), {
    kind: "granted",
    exports: "export",
    accepts: "accept",
    revision: table.revision,
    scopes: ["read"],
    ttl: 300,
    algorithm: "ES256",
    mayOutliveSubject: false,
  })
})

test("[TX-19][POL-08] a token needs an export by its source and an accept by its target", () => {
  assert.equal(ask(tokenTable([exporting()], [])), "audience-unknown")
  assert.equal(ask(tokenTable([], [accepting()])), "subject-not-exported")
  assert.equal(ask(tokenTable([exporting({ subjects: ["/job"] })], [accepting()])), "subject-not-exported")
  assert.equal(ask(tokenTable([exporting({ audiences: ["billing"] })], [accepting()])), "subject-not-exported")
  assert.equal(ask(tokenTable([exporting()], [accepting({ subjects: ["/job"] })])), "subject-not-accepted")
  assert.equal(ask(tokenTable([exporting()], [accepting({ audiences: ["billing"] })])), "audience-unknown")
  assert.equal(ask(tokenTable([exporting()], [accepting()])), "export accept")
})

test("[POL-08] each side checks the whole question: client, mode, actor, product, grant, binding", () => {
  const exports = [exporting({ ...OTHERS, clients: ["/gate", "/web"], actors: ["/gate"] })]
  const strict = accepting({ ...OTHERS, clients: ["/gate", "/web"], actors: ["/gate"], grants: ["token-exchange"] })
  const table = tokenTable(exports, [{ ...strict, bindings: ["dpop", "mtls"] }])
  const good = { grant: "token-exchange", binding: "dpop" } as const
  assert.equal(ask(table, good), "export accept")
  assert.equal(ask(table, { ...good, client: "/gate", subject: "/web" }), "export accept")
  assert.equal(ask(table, { ...good, client: "/gate", subject: "/web", actors: ["/gate"] }), "export accept")
  assert.equal(ask(table, { ...good, client: "/job", subject: "/web" }), "client-not-allowed")
  assert.equal(ask(table, { ...good, client: "/gate", subject: "/web", actors: ["/job"] }), "actor-not-allowed")
  assert.equal(ask(table, { ...good, product: "jwt-svid" }), "product-not-allowed")
  assert.equal(ask(table, { ...good, grant: "client_credentials" }), "grant-not-allowed")
  assert.equal(ask(table, { ...good, binding: "none" }), "binding-required")
  assert.equal(ask(table, { ...good, binding: "mtls" }), "export accept")
  const alone = tokenTable([exporting()], [accepting(OTHERS)])
  assert.equal(ask(alone, { client: "/gate", subject: "/web" }), "mode-not-allowed")
  const shy = tokenTable(exports, [accepting()])
  assert.equal(ask(shy, { client: "/gate", subject: "/web" }), "mode-not-allowed")
})

test("[TPO-01] the first export and the first accept that cover the question decide; rights are never put together", () => {
  const accepts = [
    accepting({ name: "bound", bindings: ["dpop"], ttl: 900 }),
    accepting({ name: "reader", scopes: ["read"], ttl: 600 }),
    accepting({ name: "writer", scopes: ["write"], ttl: 60 }),
    accepting({ name: "both", scopes: ["read", "write"], ttl: 30 }),
  ]
  const table = tokenTable([exporting({ name: "one", subjects: ["/a/*"] }), exporting({ name: "two" })], accepts)
  assert.equal(ask(table), "two reader")
  assert.equal(ask(table, { client: "/a/b" }), "one reader")
  assert.equal(ask(table, { scopes: ["write"] }), "two writer")
  const both = granted(table, question({ scopes: ["write", "read"] }))
  assert.deepEqual([both.accepts, both.ttl, both.scopes], ["both", 30, ["write", "read"]])
  assert.equal(ask(tokenTable([exporting()], accepts.slice(1, 3)), { scopes: ["read", "write"] }), "scope-not-allowed")
})

test("[TX-11] scopes are those asked for, all within the rule and the subject token, or the token is refused", () => {
  const table = tokenTable([exporting()], [accepting({ scopes: ["a", "b", "c"], defaultScopes: ["a", "b"] })])
  const scopes = (parts: Partial<Pick<TokenQuestion, "scopes" | "subjectScopes">>) => {
    const decision = decideToken(question(parts), table)
    return decision.kind === "granted" ? decision.scopes : `${decision.code} ${decision.reason}`
  }
  assert.deepEqual(scopes({}), ["a", "b"])
  assert.deepEqual(scopes({ subjectScopes: ["b", "c"] }), ["b"])
  assert.deepEqual(scopes({ subjectScopes: [] }), [])
  assert.deepEqual(scopes({ scopes: ["c"] }), ["c"])
  assert.deepEqual(scopes({ scopes: ["c"], subjectScopes: ["c", "d"] }), ["c"])
  assert.deepEqual(scopes({ scopes: [] }), [])
  assert.equal(scopes({ scopes: ["a", "d"] }), "scope-denied scope-not-allowed")
  assert.equal(scopes({ scopes: ["a", "b"], subjectScopes: ["a"] }), "scope-denied scope-beyond-subject")
  assert.equal(scopes({ scopes: ["a"], subjectScopes: [] }), "scope-denied scope-beyond-subject")
})

test("[TPO-06][TX-11] no rule makes an SVID, which has no scope, from a token that says its scopes", () => {
  const table = tokenTable([exporting()], [accepting({ products: ["access-token", "jwt-svid", "x509-svid"] })])
  for (const product of ["jwt-svid", "x509-svid"] as const) {
    for (const subjectScopes of [[], ["a"]]) assert.equal(ask(table, { product, subjectScopes }), "scope-in-svid")
    assert.equal(ask(table, { product }), "export accept")
  }
})

test("[TPO-05] a token lives no longer than its rule gives, nor than was asked for", () => {
  const table = tokenTable([exporting()], [accepting({ ttl: 300 })])
  assert.equal(granted(table, question()).ttl, 300)
  assert.equal(granted(table, question({ ttl: 60 })).ttl, 60)
  assert.equal(granted(table, question({ ttl: 3600 })).ttl, 300)
})

test("[TPO-04] a token for several audiences gets what each of them would give", () => {
  const ledger = accepting({ scopes: ["a", "b"], ttl: 300, mayOutliveSubject: true })
  const billing = accepting({ name: "billing", audiences: ["billing"], scopes: ["b", "c"], ttl: 60 })
  const cloud = accepting({ name: "cloud", audiences: ["cloud"], algorithm: "RS256", mayOutliveSubject: true })
  const table = tokenTable([exporting()], [ledger, billing, cloud])
  const both = granted(table, question({ audiences: ["ledger", "billing"] }))
  assert.deepEqual([both.exports, both.accepts], ["export", "accept,billing"])
  assert.deepEqual([both.scopes, both.ttl, both.mayOutliveSubject], [["b"], 60, false])
  assert.equal(ask(table, { audiences: ["ledger", "billing"], scopes: ["a"] }), "scope-not-allowed")
  assert.equal(ask(table, { audiences: ["ledger", "nobody"] }), "audience-unknown")
  assert.equal(ask(table, { audiences: ["ledger", "cloud"] }), "algorithm-conflict")
  assert.equal(granted(table, question({ audiences: ["cloud"] })).algorithm, "RS256")
  assert.equal(ask(table, { audiences: [] }), "inconsistent-question")
})

test("[TPO-06] what no rule can allow: reserved identities, SVIDs of others, and SVIDs by delegation", () => {
  const every = ["*", "spiffe://other.example/*"]
  const exports = [exporting({ ...OTHERS, subjects: every, clients: every })]
  const table = tokenTable(exports, [
    accepting({ ...OTHERS, subjects: every, products: ["access-token", "jwt-svid", "x509-svid"] }),
  ])
  assert.equal(ask(table, { client: "/assay/server" }), "reserved-identity")
  assert.equal(ask(table, { client: "/web", subject: "/assay/server" }), "reserved-identity")
  assert.equal(ask(table, { subject: "/web", actors: ["/assay/server"] }), "reserved-identity")
  assert.equal(ask(table, { client: "/assays" }), "export accept")
  assert.equal(ask(table, { client: "spiffe://other.example/assay/x" }), "export accept")
  for (const product of ["jwt-svid", "x509-svid"] as const) {
    assert.equal(ask(table, { client: "spiffe://other.example/web", product }), "foreign-subject")
    assert.equal(ask(table, { subject: "/web", actors: ["/gate"], product }), "delegation-in-svid")
    assert.equal(ask(table, { client: "/gate", subject: "/web", product }), "export accept")
  }
  assert.equal(ask(table, { mode: "delegation" }), "inconsistent-question")
  assert.equal(ask(table, { client: "/gate", subject: "/web", mode: "self" }), "inconsistent-question")
  assert.equal(ask(table, { actors: ["/gate"], mode: "impersonation" }), "inconsistent-question")
})

test("[POL-08] the client acts unless the export names others, and an accept that names no actor leaves that to the export", () => {
  const asked = { client: "/gate", subject: "/web", actors: ["/job"] }
  const delegation = { modes: ["delegation"], clients: ["/gate"] } as const
  const accepts = [accepting(delegation)]
  assert.equal(ask(tokenTable([exporting(delegation)], accepts), asked), "actor-not-allowed")
  assert.equal(ask(tokenTable([exporting({ ...delegation, actors: ["/job"] })], accepts), asked), "export accept")
  const strict = [accepting({ ...delegation, actors: ["/gate"] })]
  assert.equal(ask(tokenTable([exporting({ ...delegation, actors: ["/job"] })], strict), asked), "actor-not-allowed")
})

test("[TPO-06] the newest actor alone decides, and those before it are history", () => {
  const exports = [exporting({ ...OTHERS, clients: ["/gate"] })]
  const table = tokenTable(exports, [accepting(OTHERS)])
  assert.equal(ask(table, { client: "/gate", subject: "/web", actors: ["/gate", "/elsewhere"] }), "export accept")
  assert.equal(ask(table, { client: "/gate", subject: "/web", actors: ["/elsewhere", "/gate"] }), "actor-not-allowed")
})

test("[POL-05] a condition that is false, that fails or that asks for what is not there refuses", () => {
  const by = (when: string) => tokenTable([exporting()], [accepting({ when })])
  assert.equal(ask(by('subject.path == "/web"')), "export accept")
  assert.equal(ask(by('subject.path == "/job"')), "condition-not-met")
  assert.equal(ask(by("request.ttl <= 300"), { ttl: 60 }), "export accept")
  const decision = decideToken(question(), by("request.ttl <= 300"))
  assert.equal(outcome(decision), "condition-not-met")
  assert.deepEqual(decision.kind === "refused" && decision.nearest, {
    rule: "accept",
    condition: "request.ttl <= 300 could not be decided: No such key: ttl",
  })
  assert.equal(ask(tokenTable([exporting({ when: "actor.id == client.id" })], [accepting()])), "condition-not-met")
})

test("[POL-07] conditions read one record, the same for every grant", () => {
  const when = [
    'subject.id == "spiffe://prod.example/web" && subject.trust_domain == "prod.example" && subject.path == "/web"',
    'client.path == "/gate" && actor.path == "/gate" && request.mode == "delegation"',
    'request.audience == "ledger" && request.product == "access-token" && request.binding == "mtls"',
    '"read" in request.scopes && request.scopes.size() == 1 && request.ttl == 60 && request.grant != ""',
  ].join(" && ")
  const table = tokenTable([exporting({ ...OTHERS, clients: ["/gate"], when })], [accepting({ ...OTHERS, when })])
  const parts = { client: "/gate", subject: "/web", actors: ["/gate", "/old"], scopes: ["read"], ttl: 60 }
  for (const grant of ["client_credentials", "token-exchange", "jwt-bearer"] as const) {
    assert.equal(ask(table, { ...parts, binding: "mtls", grant }), "export accept")
  }
})

test("[TPO-07] each refusal has a reason of the list, its code, and the rule and condition that came nearest", () => {
  assert.deepEqual(Object.keys(TOKEN_REASONS).sort(), [
    "actor-not-allowed",
    "algorithm-conflict",
    "audience-unknown",
    "binding-required",
    "client-not-allowed",
    "condition-not-met",
    "delegation-in-svid",
    "foreign-subject",
    "grant-not-allowed",
    "inconsistent-question",
    "mode-not-allowed",
    "product-not-allowed",
    "reserved-identity",
    "scope-beyond-subject",
    "scope-in-svid",
    "scope-not-allowed",
    "subject-not-accepted",
    "subject-not-exported",
  ])
  const accepts = [
    accepting({ name: "far", grants: ["jwt-bearer"] }),
    accepting({ name: "near", scopes: ["read", "list"] }),
    accepting({ name: "tied", scopes: [] }),
  ]
  const table = tokenTable([exporting({ subjects: ["/web"] })], accepts)
  const nearest = (parts: Parameters<typeof question>[0]) => {
    const decision = decideToken(question(parts), table)
    return decision.kind === "refused" && [decision.code, decision.nearest?.rule, decision.nearest?.condition]
  }
  assert.deepEqual(nearest({ scopes: ["write"] }), ["scope-denied", "near", 'scope "write" is not "read" or "list"'])
  const subject = 'subject is "spiffe://prod.example/job", not "spiffe://prod.example/web"'
  assert.deepEqual(nearest({ client: "/job" }), ["audience-denied", "export", subject])
  const audience = 'audience is "x", not "ledger"'
  assert.deepEqual(nearest({ audiences: ["x"] }), ["audience-denied", "far", audience])
})
