import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"

const EXAMPLE = "deploy/examples/server-token-rules.yaml"
const LEDGER = "https://ledger.prod.example"
const RULES = `trust_domain: prod.example
token_rules:
  exports:
    - { name: own, subject: "*", audience: "*" }
  accepts:
    - { name: web, audience: ledger, subject: /ns/shop/*, scopes: [read, write], ttl: 2m }
    - { name: all, audience: ledger, subject: "*", scopes: [read], ttl: 1m, binding: dpop }
`

async function configs(scratch: Scratch, ...texts: readonly string[]): Promise<readonly string[]> {
  const files = texts.map((_, i) => scratch.path(`${i}.yaml`))
  await Promise.all(files.map((file, i) => writeFile(file, texts[i] ?? "")))
  return files
}

interface WhoCan {
  readonly rights: readonly { subject: string; mode: string; scopes: readonly string[]; ttl: number; accepts: string }[]
  readonly identityRules: readonly { readonly name: string }[]
}
interface Diff {
  readonly changes: readonly {
    readonly kind: string
    readonly subjects: readonly { readonly pattern: string; readonly except: readonly string[] }[]
    readonly bindings: readonly string[]
    readonly before: { readonly entries: readonly { readonly scopes: readonly string[] }[] }
    readonly after: { readonly entries: readonly { readonly scopes: readonly string[] }[] }
  }[]
}
interface Explained {
  readonly outcome: string
  readonly exports: string
  readonly accepts: string
  readonly scopes: readonly string[]
  readonly ttl: number
  readonly code: string
  readonly reason: string
  readonly nearest: unknown
  readonly question: { readonly mode: string; readonly grant: string }
  readonly rules: readonly { readonly side: string; readonly rule: string; readonly verdict: string }[]
}
interface Checked {
  readonly valid: boolean
  readonly exports: number
  readonly accepts: number
}

/** `assay policy …` with its output parsed; the assertions find out whether it has the shape. */
async function policy<Shape>(...args: readonly string[]): Promise<{ readonly code: unknown; readonly data: Shape }> {
  const { code, out, err } = await runAssay(["policy", ...args, "-o", "json"])
  assert.ok(out !== "", err)
  return { code, data: JSON.parse(out) }
}

test("[TPO-09] policy check exits 0 for valid rules, with warnings, and 1 with every problem and its place", async () => {
  await using scratch = await makeScratch()
  const [twice = "", broken = ""] = await configs(
    scratch,
    `${RULES}    - { name: late, audience: ledger, subject: /ns/shop/sa/web, scopes: [read], ttl: 1m }\n`,
    RULES.replace('subject: "*", scopes', "subject: web, scopes").replace("ttl: 2m", "ttl: 2h"),
  )
  const valid = await policy<Checked>("check", "-c", EXAMPLE)
  assert.deepEqual([valid.code, valid.data.valid, valid.data.exports, valid.data.accepts], [0, true, 2, 5])
  const warned = await runAssay(["policy", "check", "-c", twice])
  assert.equal(warned.code, 0)
  assert.match(
    warned.out,
    /:8:7: token_rules\.accepts\[2\]: decides nothing: "web" before it .*\(warning\)\n.*: valid, revision /,
  )
  const refused = await runAssay(["policy", "check", "-c", broken])
  assert.equal(refused.code, 1)
  assert.match(refused.out, /:6:\d+: token_rules\.accepts\[0\]\.ttl: must be at most jwt\.ttl/)
  assert.match(refused.out, /:7:\d+: token_rules\.accepts\[1\]\.subject: SPIFFE ID is not /)
  assert.match(refused.out, /: 2 problems\n$/)
})

test("[TPO-10] policy explain exits 0 with the pair that grants, 1 with what came nearest, 64 for wrong usage", async () => {
  const ask = (...args: readonly string[]) => policy<Explained>("explain", "-c", EXAMPLE, ...args)
  const granted = await ask("--client", "/ns/shop/sa/web", "--audience", LEDGER, "--scope", "write", "--ttl", "30s")
  assert.equal(granted.code, 0)
  const { outcome, exports, accepts, scopes, ttl, question, rules } = granted.data
  assert.deepEqual(
    { outcome, exports, accepts, scopes, ttl },
    {
      outcome: "granted",
      exports: "own",
      accepts: "ledger-writers",
      scopes: ["write"],
      ttl: 30,
    },
  )
  assert.deepEqual([question.mode, question.grant], ["self", "client_credentials"])
  assert.deepEqual(
    rules.map((rule) => `${rule.side} ${rule.rule} ${rule.verdict}`),
    ["export own decides", "accept ledger-writers decides", "accept ledger-readers no"],
  )
  const gateway = "/ns/edge/sa/gateway"
  const parties = ["--client", gateway, "--subject", "/ns/shop/sa/web", "--actor", gateway]
  const delegated = await ask(...parties, "--audience", "https://orders.prod.example")
  assert.deepEqual([delegated.code, delegated.data.question.mode, delegated.data.exports], [0, "delegation", "gateway"])
  const refused = await ask("--client", "/ns/ops/sa/root", "--audience", LEDGER, "--scope", "admin")
  assert.equal(refused.code, 1)
  assert.deepEqual([refused.data.code, refused.data.reason], ["policy-denied", "binding-required"])
  assert.deepEqual(refused.data.nearest, {
    rule: "ledger-admins",
    condition: 'binding is "none", not "dpop" or "mtls"',
  })
  const table = await runAssay(["policy", "explain", "-c", EXAMPLE, "--client", "/ns/x/sa/y", "--audience", "none"])
  assert.match(table.out, /^REFUSED {2}audience-unknown \(audience-denied\): nobody accepts tokens for this audience$/m)
  for (const wrong of [
    ["--audience", LEDGER],
    ["--client", "/a", "--audience", LEDGER, "--ttl", "soon"],
  ]) {
    assert.equal((await runAssay(["policy", "explain", "-c", EXAMPLE, ...wrong])).code, 64)
  }
})

test("[TPO-11] policy who-can lists the rights to an audience and the identity rules that give SVIDs for it", async () => {
  await using scratch = await makeScratch()
  const rules =
    'rules: [{ name: web, spiffe_id: "/{{pod}}", audiences: [ledger] }, { name: o, spiffe_id: /o, audiences: [x] }]\n'
  const [file = ""] = await configs(scratch, `${RULES}${rules}`)
  const { code, data } = await policy<WhoCan>("who-can", "-c", file, "--audience", "ledger")
  assert.equal(code, 0)
  const rows = data.rights.map((right) => [right.subject, right.mode, right.scopes, right.ttl, right.accepts])
  assert.deepEqual(rows, [
    ["spiffe://prod.example/ns/shop/*", "self", ["read", "write"], 120, "web"],
    ["spiffe://prod.example/*", "self", ["read"], 60, "all"],
  ])
  assert.deepEqual(
    data.identityRules.map((rule) => rule.name),
    ["web"],
  )
  const table = await runAssay(["policy", "who-can", "-c", file, "--audience", "ledger"])
  assert.match(
    table.out,
    /^ {2}spiffe:\/\/prod\.example\/\* +itself +- +access-token +read +60s +binding dpop +own > all /m,
  )
  const nobody = await runAssay(["policy", "who-can", "-c", file, "--audience", "nobody"])
  assert.deepEqual([nobody.code, nobody.out], [1, "nobody: nobody by token rules\nJWT-SVIDs by identity rules: none\n"])
})

test("[TPO-12] policy diff lists what is granted differently and exits 1, or says that there is no difference", async () => {
  await using scratch = await makeScratch()
  const other = RULES.replace("subject: /ns/shop/*", "subject: [/ns/shop/sa/web, /ns/shop/sa/cart]").replace(
    "name: all",
    "name: any",
  )
  const [old = "", next = "", same = ""] = await configs(
    scratch,
    RULES,
    other,
    RULES.replace("name: web", "name: shop"),
  )
  const changed = await policy<Diff>("diff", old, next)
  assert.equal(changed.code, 1)
  const except = ["web", "cart"].map((name) => `spiffe://prod.example/ns/shop/sa/${name}`)
  const [lost, now] = [["read", "write"], ["read"]]
  assert.deepEqual(
    changed.data.changes.map((change) => [
      change.kind,
      change.subjects,
      change.bindings,
      change.before.entries.map((entry) => entry.scopes),
      change.after.entries.map((entry) => entry.scopes),
    ]),
    [
      ["removed", [{ pattern: "spiffe://prod.example/ns/shop/*", except }], ["none", "mtls"], [lost], []],
      ["changed", [{ pattern: "spiffe://prod.example/ns/shop/*", except }], ["dpop"], [lost], [now]],
    ],
  )
  const table = await runAssay(["policy", "diff", old, next])
  assert.match(
    table.out,
    /^- ledger {2}self {2}access-token {2}binding none,mtls\n {4}subject spiffe:\/\/prod\.example\/ns\/shop\/\* without /,
  )
  const none = await runAssay(["policy", "diff", old, same])
  assert.deepEqual([none.code, none.out], [0, "no difference\n"])
})

test("[TPO-12] policy diff names identity rules that are not alike", async () => {
  await using scratch = await makeScratch()
  const [a, b] = ["{ name: a, spiffe_id: /a }", "{ name: b, spiffe_id: /b }"]
  const texts = [`rules: [${a}, ${b}]`, `rules: [${b}, ${a.replace("/a", "/c")}, { name: c, spiffe_id: /d }]`]
  const [old = "", next = ""] = await configs(scratch, ...texts.map((text) => `trust_domain: prod.example\n${text}\n`))
  const { code, data } = await policy<Diff>("diff", old, next)
  const identityRules = { added: ["c"], removed: [], changed: ["a"], reordered: true, clusters: [] }
  assert.deepEqual([code, data], [1, { changes: [], identityRules }])
})
