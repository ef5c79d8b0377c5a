import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { decideToken } from "../../src/core/policy/decide-token.ts"
import { diffConfigs } from "../../src/main/config/config-diff.ts"
import { ConfigError } from "../../src/main/config/problem.ts"
import { parseServerConfig } from "../../src/main/config/server-config.ts"
import { question } from "../support/token-rules.ts"

const { compile } = makeCelConditions()

function config(tokenRules: string, rest = "") {
  return parseServerConfig(`trust_domain: prod.example\n${rest}\ntoken_rules: ${tokenRules}\n`, "assay.yaml", compile)
}

/** `key: message` for each problem. */
function problems(tokenRules: string, rest = ""): readonly string[] {
  try {
    config(tokenRules, rest)
    return []
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return thrown.problems.map(({ key, message }) => `${key}: ${message}`)
  }
}

test("[TPO-13] what a short rule does not say is the least: own tokens, no scopes, no outliving, ES256, jwt.ttl", () => {
  const { rules } = config(
    '{ exports: [{ name: e, subject: "*", audience: "*" }], accepts: [{ name: a, audience: x, subject: "*" }] }',
    "jwt: { ttl: 7m }",
  )
  const { exports, accepts } = rules.tokens
  assert.deepEqual(exports[0]?.spec, {
    name: "e",
    subjects: ["*"],
    audiences: ["*"],
    modes: ["self"],
    clients: undefined,
    actors: undefined,
    when: undefined,
  })
  assert.deepEqual(accepts[0]?.spec, {
    name: "a",
    audiences: ["x"],
    subjects: ["*"],
    clients: undefined,
    actors: undefined,
    modes: ["self"],
    products: ["access-token"],
    grants: ["client_credentials", "token-exchange", "jwt-bearer"],
    bindings: ["none"],
    scopes: [],
    defaultScopes: [],
    ttl: 420,
    algorithm: "ES256",
    mayOutliveSubject: false,
    when: undefined,
  })
  assert.equal(decideToken(question({ audiences: ["x"] }), rules).kind, "granted")
})

test("[TPO-13] an accept gives no longer life than jwt.ttl, for which retired keys stay published", () => {
  const accepts = '{ accepts: [{ name: a, audience: x, subject: "*", ttl: 6m }] }'
  assert.match(problems(accepts).join(), /^token_rules\.accepts\[0\]\.ttl: must be at most jwt\.ttl/)
  assert.deepEqual(problems(accepts, "jwt: { ttl: 6m }"), [])
})

test("[TPO-02] a problem of a token rule is reported at its key", () => {
  assert.deepEqual(problems('{ exports: [{ name: e, subject: [web], audience: "*" }] }'), [
    "token_rules.exports[0].subject: SPIFFE ID is not spiffe://<trust domain>/<path>",
  ])
  assert.deepEqual(problems("{ accepts: [{ name: a, audience: x, subject: /w, scopes: ['a b'] }] }"), [
    'token_rules.accepts[0].scopes[0]: must be a scope: printable ASCII without space, " and \\',
  ])
  assert.deepEqual(problems("{ accepts: [{ name: a, audience: x, subject: /w, tttl: 5m }] }"), [
    'token_rules.accepts[0].tttl: unknown key; did you mean "ttl"?',
  ])
})

test("[CFG-15] token rules are adopted by a running server, under a revision that they share with identity rules", () => {
  const [before, after] = [config("{}"), config('{ exports: [{ name: e, subject: "*", audience: "*" }] }')]
  assert.deepEqual(diffConfigs(before, after), { reloadable: ["token_rules"], needsRestart: [] })
  assert.deepEqual(diffConfigs(before, config("{}")), { reloadable: [], needsRestart: [] })
  assert.notEqual(before.rules.revision, after.rules.revision)
})

test("[TPO-13] the example grants what its comments say", async () => {
  const text = await readFile("deploy/examples/server-token-rules.yaml", "utf8")
  const { rules } = parseServerConfig(text, "assay.yaml", compile)
  const ledger = { audiences: ["https://ledger.prod.example"] }
  const orders = { audiences: ["https://orders.prod.example"] }
  const [web, gate, partner] = ["/ns/shop/sa/web", "/ns/edge/sa/gateway", "spiffe://partner.example/shop"]
  const ops = { ...ledger, client: "/ns/ops/sa/root" }
  const rows: readonly (readonly [Parameters<typeof question>[0], string])[] = [
    [{ ...ledger, client: web }, "own ledger-writers: read 300s"],
    [{ ...ledger, client: web, scopes: ["write"] }, "own ledger-writers: write 300s"],
    [{ ...ledger, client: "/ns/x/sa/y" }, "own ledger-readers: read 900s"],
    [{ ...ledger, client: "/ns/x/sa/y", scopes: ["write"] }, "scope-not-allowed"],
    [{ ...ledger, client: partner }, "subject-not-exported"],
    [{ ...ops, scopes: ["admin"] }, "binding-required"],
    [{ ...ops, scopes: ["admin"], binding: "dpop" }, "own ledger-admins: admin 60s"],
    [{ ...ops, scopes: ["admin", "read"], binding: "dpop" }, "condition-not-met"],
    [{ ...orders, client: gate, subject: partner, actors: [gate] }, "gateway orders: orders.read 900s"],
    [{ ...orders, client: gate, subject: web, actors: [gate] }, "gateway orders: orders.read 900s"],
    [{ ...orders, client: web, subject: partner, actors: [web] }, "client-not-allowed"],
    [{ ...orders, client: partner }, "mode-not-allowed"],
    [{ audiences: ["api://AzureADTokenExchange"], client: "/ns/batch/sa/a", product: "jwt-svid" }, "own entra:  900s"],
  ]
  for (const [asked, expected] of rows) {
    const decision = decideToken(question(asked), rules)
    const found =
      decision.kind === "granted"
        ? `${decision.exports} ${decision.accepts}: ${decision.scopes.join(" ")} ${decision.ttl}s`
        : decision.reason
    assert.equal(found, expected, JSON.stringify(asked))
  }
})
