import assert from "node:assert/strict"
import { after, test } from "node:test"
import fc from "fast-check"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import type { TokenProduct, TokenQuestion } from "../../src/core/policy/token-question.ts"
import type { AcceptRuleSpec, TokenRulesSpec } from "../../src/core/rules/token-rule.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { parsePem } from "../../src/core/x509/pem.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { makeTestCsr } from "../support/test-csr.ts"
import { ISSUER } from "../support/token-kinds.ts"
import { coveringPairs, isForbidden } from "../support/token-oracle.ts"
import {
  type DescribedRequest,
  type DescribedToken,
  describedRequest,
  holdingFor,
  ruleDocument,
  writtenRules,
} from "../support/token-requests.ts"
import { claimsOf, headerOf } from "../support/token-server.ts"
import { openTokenWorld, WORLD_NOW } from "../support/token-world.ts"

const world = await openTokenWorld()
after(() => world[Symbol.asyncDispose]())
const csr = Buffer.from(makeTestCsr({})).toString("base64url")
const otherKey = makeJwtKey()

test("[TPO-01][TX-16] no request gets more scope, audience, life or authority than the rules give its subject", async () => {
  const seen = new Map<string, number>()
  const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
  await fc.assert(
    fc.asyncProperty(writtenRules, fc.array(describedRequest, REQUESTS), async (rules, requests) => {
      await world.server.reload({ token_rules: ruleDocument(rules) })
      for (const request of requests) {
        const answer = await send(request)
        if (answer !== undefined) checkAnswer(answer, request, rules)
        for (const what of answer === undefined ? ["refused"] : [request.grant, request.product]) count(what)
      }
    }),
    { numRuns: RUNS },
  )
  for (const what of ["refused", ...Object.keys(GRANT_TYPES), ...Object.keys(PRODUCT_TYPE)]) {
    assert.ok((seen.get(what) ?? 0) > 0, `${what}: ${JSON.stringify([...seen])}`)
  }
})

/** What was issued; `undefined` for a refusal. A failure of the server's own is none. */
async function send(request: DescribedRequest) {
  const { client, binding } = request
  const dpop = binding === "dpop" ? [world.token("DPoP proof")] : []
  const sender = client === undefined ? {} : world.authentication(client)
  const answer = await world.ask({ ...fieldsOf(request), ...sender }, { dpop }).catch((thrown: unknown) => {
    assert.notEqual(Object(thrown).code ?? "internal", "internal", String(Object(thrown).cause ?? thrown))
    return undefined
  })
  return answer
}

type Answer = NonNullable<Awaited<ReturnType<typeof send>>>

function fieldsOf(request: DescribedRequest): Readonly<Record<string, string | readonly string[]>> {
  const { grant, product, audiences, scopes, subject, actor } = request
  const jwt = (token: DescribedToken) => ({ text: tokenText(token, request), type: TYPE[token.kind] })
  const common = {
    grant_type: GRANT_TYPES[grant],
    requested_token_type: PRODUCT_TYPE[product],
    audience: audiences,
    ...(product === "x509-svid" ? { csr } : {}),
    ...(scopes === undefined ? {} : { scope: scopes.join(" ") }),
  }
  if (grant === "client_credentials") return common
  if (grant === "jwt-bearer") return { ...common, assertion: jwt(subject).text }
  const acting = actor && { actor_token: jwt(actor).text, actor_token_type: jwt(actor).type }
  return { ...common, subject_token: jwt(subject).text, subject_token_type: jwt(subject).type, ...acting }
}

function tokenText(token: DescribedToken, { client }: DescribedRequest): string {
  const { id, kind, audience, left, mayAct, actors, scopes, bound } = token
  const aud = { server: [ISSUER], client: [client ?? "nobody"], both: [ISSUER, client ?? "nobody"], other: ["z"] }
  const common = { sub: id, aud: aud[audience], exp: WORLD_NOW + left }
  if (kind === "svid") {
    const name = id.startsWith("spiffe://prod.example/") ? "JWT-SVID" : "federated JWT-SVID"
    return world.token(name, { ...common, ...(mayAct && { may_act: { sub: mayAct } }) })
  }
  const jkt = (bound === "own" ? world.keys.proof : otherKey).authority.kid
  const act = actors.reduceRight<object | undefined>((inner, sub) => ({ sub, ...(inner && { act: inner }) }), undefined)
  const scope = scopes.length === 0 ? {} : { scope: scopes.join(" ") }
  return world.token("access token", { ...common, ...scope, act, ...(bound === "no" ? {} : { cnf: { jkt } }) })
}

/** By the words of spec/46, 50, 51 and 53 over the description and the rules as they are written. */
function checkAnswer(answer: Answer, request: DescribedRequest, rules: TokenRulesSpec): void {
  const question = questionOf(request)
  assert.ok(!isForbidden(question), JSON.stringify(question))
  const holding = holdingFor(question.scopes, question.subject)
  const accepts = question.audiences.map((audience) => {
    const [pair] = coveringPairs(question, audience, rules, holding)
    return pair?.accepts ?? assert.fail(`nothing allows ${audience}`)
  })
  const life = Math.min(...accepts.map(({ ttl }) => ttl))
  const isFree = question.grant === "client_credentials" || accepts.every((rule) => rule.mayOutliveSubject)
  const most = isFree ? life : Math.min(life, request.subject.left)
  assert.ok(answer.expires_in > 0 && answer.expires_in <= most, `${answer.expires_in} of ${most}`)
  if (question.product === "x509-svid") checkCertificate(answer, question.subject, most)
  else checkToken(answer, question, accepts)
}

/** What the request comes to when everything in it is proven as it should be. */
function questionOf(request: DescribedRequest): TokenQuestion {
  const { grant, product, audiences, scopes, client, subject, binding } = request
  const isOwn = grant === "client_credentials"
  const actor = grant === "token-exchange" ? request.actor : undefined
  if (!isOwn) checkProofs(request, actor)
  const id = isOwn ? (client ?? assert.fail("nobody asked")) : subject.id
  const asking = client ?? actor?.id ?? id
  const isAccessToken = !isOwn && subject.kind === "access-token"
  const before = isAccessToken ? subject.actors : []
  const actors = actor === undefined ? before : [actor.id, ...before]
  assert.ok(actors.length <= 5)
  return {
    grant,
    product,
    client: asking,
    subject: id,
    actors,
    mode: actors.length > 0 ? "delegation" : asking === id ? "self" : "impersonation",
    audiences,
    scopes,
    subjectScopes: isAccessToken ? subject.scopes : undefined,
    ttl: undefined,
    binding: product === "access-token" ? binding : "none",
  }
}

function checkToken(answer: Answer, question: TokenQuestion, accepts: readonly AcceptRuleSpec[]): void {
  const { subject, audiences, product } = question
  const claims = claimsOf(answer.access_token)
  assert.equal(Number(claims["exp"]), WORLD_NOW + answer.expires_in)
  assert.deepEqual([claims["iss"], claims["sub"], [claims["aud"]].flat()], [ISSUER, subject, audiences])
  const { alg, typ } = headerOf(answer.access_token)
  assert.ok(accepts.every(({ algorithm }) => algorithm === alg))
  assert.equal(typ, product === "access-token" ? "at+jwt" : "JWT")
  if (product === "jwt-svid") assert.deepEqual(Object.keys(claims).sort(), SVID_CLAIMS)
  else checkAuthority(claims, question, accepts)
}

function checkAuthority(
  claims: Readonly<Record<string, unknown>>,
  { client, actors, binding, scopes, subjectScopes }: TokenQuestion,
  accepts: readonly AcceptRuleSpec[],
): void {
  assert.equal(claims["client_id"], client)
  assert.deepEqual(actorsOf(claims["act"]), actors)
  assert.deepEqual(claims["cnf"], binding === "dpop" ? { jkt: world.keys.proof.authority.kid } : undefined)
  const { scope: text } = claims
  const given = typeof text === "string" ? text.split(" ") : []
  for (const scope of given) {
    assert.ok(scopes?.includes(scope) !== false)
    assert.ok(accepts.every((rule) => (scopes === undefined ? rule.defaultScopes : rule.scopes).includes(scope)))
    assert.ok(subjectScopes?.includes(scope) !== false)
  }
}

/** Whoever is not proven to be meant gets nothing. */
function checkProofs(request: DescribedRequest, actor: DescribedToken | undefined): void {
  const { grant, client, subject, binding } = request
  for (const token of [subject, ...(actor === undefined ? [] : [actor])]) {
    const forClient = client !== undefined && token.audience === "client"
    assert.ok(["server", "both"].includes(token.audience) || forClient, token.audience)
    if (token.kind === "access-token") assert.ok(token.bound === "no" || (token.bound === "own" && binding === "dpop"))
  }
  const speaks = actor ?? subject
  // An access token speaks for nobody; an SVID does when it is for the server alone.
  if (client === undefined) assert.ok(speaks.kind === "svid" && speaks.audience === "server")
  if (grant === "jwt-bearer") assert.ok(subject.kind === "svid" && subject.audience === "server")
  if (actor?.kind === "access-token") assert.deepEqual(actor.actors, [])
  if (subject.kind === "svid" && subject.mayAct !== undefined) assert.equal(actor?.id ?? client, subject.mayAct)
}

function checkCertificate(answer: Answer, id: string, life: number): void {
  const [leaf] = parsePem(answer.access_token, "CERTIFICATE", { maxLength: 16_384, maxBlocks: 4 })
  const { uriNames, dnsNames, notAfter } = parseCertificate(leaf ?? assert.fail("no certificate"))
  assert.deepEqual([uriNames, dnsNames], [[id], []])
  assert.ok(notAfter <= WORLD_NOW + life)
}

function actorsOf(act: unknown): readonly string[] {
  if (act === undefined) return []
  const { sub, act: inner, ...more } = Object(act)
  assert.deepEqual(more, {})
  return [sub, ...actorsOf(inner)]
}

const RUNS = 40
const REQUESTS = { minLength: 20, maxLength: 30 }
const PRODUCT_TYPE = {
  "access-token": TOKEN_TYPES.accessToken,
  "jwt-svid": TOKEN_TYPES.jwt,
  "x509-svid": TOKEN_TYPES.x509Svid,
} as const satisfies Record<TokenProduct, string>
const TYPE = { svid: TOKEN_TYPES.jwt, "access-token": TOKEN_TYPES.accessToken } as const
const SVID_CLAIMS = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"]
