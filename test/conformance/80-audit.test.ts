import assert from "node:assert/strict"
import { test } from "node:test"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import { type ErrorCode, IdentityError } from "../../src/core/errors.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { projectFiles } from "../support/project-files.ts"
import { openControlled } from "../support/rotation/controlled.ts"

test("[AUD-01] each grant is recorded once, with who, what, by which rule, signed by whom at which epoch, and whether degraded", async () => {
  const fixture = await openIssueFixture()
  fixture.caller = { degraded: true }
  const request = x509Request({ requestId: "r9" })
  const { serial } = await fixture.issueX509(request, NEVER)
  await fixture.issueX509(request, NEVER)
  const granted = fixture.store.events.filter(({ type }) => type === "svid.granted")
  assert.deepEqual(granted, [
    {
      type: "svid.granted",
      kind: "x509",
      at: fixture.clock.now(),
      actor: "k8s:main/shop/web/web-0",
      requestId: "r9",
      spiffeId: "spiffe://prod.example/ns/shop/sa/web",
      serial,
      authority: fixture.issuing.current().authorityId,
      epoch: fixture.trust.snapshot().epoch,
      renews: "",
      rule: "default",
      revision: fixture.rules.revision,
      degraded: true,
    },
  ])
})

const DECIDED: readonly ErrorCode[] = ["attestation-denied", "no-identity", "policy-denied", "audience-denied"]
const UNDECIDED: readonly ErrorCode[] = [
  "malformed",
  "unauthenticated",
  "rate-limited",
  "not-ready",
  "attestor-down",
  "cancelled",
  "deadline",
  "internal",
]

for (const [codes, id, records] of [
  [DECIDED, "AUD-02", 1],
  [UNDECIDED, "AUD-03", 0],
] as const) {
  for (const code of codes) {
    test(`[${id}] ${code} leaves ${records === 1 ? "a record" : "no record"}, and is counted and logged`, async () => {
      const fixture = await openIssueFixture()
      const before = fixture.store.events.length
      fixture.failAttest = new IdentityError(code, "told to", { reason: "told" })
      await assert.rejects(fixture.issueX509(x509Request(), NEVER))
      const events = fixture.store.events.slice(before)
      assert.equal(events.length, records)
      for (const event of events) {
        assert.ok(event.type === "svid.refused")
        assert.deepEqual([event.actor, event.code, event.reason], ["unknown", code, "told"])
      }
      assert.ok(fixture.steps.includes(`refused ${code}`))
    })
  }
}

test("[AUD-02] the record of a refusal names the caller that was attested", async () => {
  const fixture = await openIssueFixture()
  fixture.caller = { pod: undefined, node: undefined }
  const spiffeId = parseSpiffeId("spiffe://prod.example/ns/shop/sa/other")
  await assert.rejects(fixture.issueJwt(jwtRequest({ spiffeId }), NEVER))
  assert.equal(fixture.store.events.at(-1)?.actor, "k8s:main/shop/web")
})

test("[AUD-04] a new trust domain, its authorities and its keys are recorded; without the record there is no step", async () => {
  const { fixture, controller } = await openControlled({ rows: [] }, { kind: "jwt" })
  assert.deepEqual(fixture.store.events.map(describe), ["authority.created", "jwt-key.created", "authority.adopted"])
  await fixture.clock.advance(86_400 - 3600)
  fixture.store.onWrite = (kind) => (kind === "audit" ? "lost" : "none")
  await assert.rejects(controller.drive())
  assert.equal(fixture.trust.record().jwtKeys.length, 1)
  fixture.store.onWrite = () => "none"
  for (const pause of [0, 3630, 30]) {
    await fixture.clock.advance(pause)
    await controller.drive()
  }
  assert.deepEqual(fixture.store.events.slice(3).map(describe), [
    "rotation.changed planned",
    "jwt-key.created",
    ...["keyed", "publishing", "published", "active", "draining"].map((phase) => `rotation.changed ${phase}`),
    ...["drained", "retiring", "retired", "stable"].map((phase) => `rotation.changed ${phase}`),
  ])
})

test("[AUD-05] the chapter lists every event and its fields, and no other", () => {
  const chapter = projectFiles("spec/80-audit.md")[0]?.text ?? ""
  const rows = [...chapter.matchAll(/^\| `([a-z-]+\.[a-z-]+)` \| ([^|]+) \|/gm)]
  const listed = Object.fromEntries(rows.map(([, type = "", fields = ""]) => [type, fields.match(/\w+/g)]))
  assert.deepEqual(listed, FIELDS)
})

test("[AUD-06] what was sent is not in any record", async () => {
  const fixture = await openIssueFixture()
  const token = `canary-${"x".repeat(40)}`
  const request = x509Request({ token })
  await fixture.issueX509(request, NEVER)
  const jwt = await fixture.issueJwt(jwtRequest({ token, audience: ["canary-audience"] }), NEVER)
  const text = JSON.stringify(fixture.store.events)
  for (const secret of [token, "canary", jwt.token, jwt.token.split(".")[2] ?? jwt.token]) {
    assert.equal(text.includes(secret), false)
  }
})

function describe(event: AuditEvent): string {
  return event.type === "rotation.changed" ? `${event.type} ${event.to}` : event.type
}

type Fields<Type> = Exclude<keyof Extract<AuditEvent, { readonly type: Type }>, "type" | "at" | "actor" | "requestId">

/** The compiler holds this to the union: no event and no field can be missing or foreign. */
const FIELDS = {
  "svid.granted": ["kind", "spiffeId", "serial", "authority", "epoch", "renews", "rule", "revision", "degraded"],
  "svid.refused": ["kind", "code", "reason"],
  "stream.refused": ["code", "reason", "count", "since"],
  "token.granted": [
    "product",
    "grant",
    "subject",
    "clientId",
    "actors",
    "audience",
    "scope",
    "binding",
    "serial",
    "authority",
    "epoch",
    "exports",
    "accepts",
    "revision",
    "proofs",
    "degraded",
    "ignored",
  ],
  "token.refused": ["grant", "subject", "clientId", "audience", "code", "reason"],
  "authority.created": ["authority", "notAfter"],
  "authority.adopted": ["authority", "notAfter"],
  "authority.crossed": ["authority", "issuer", "serial", "notAfter"],
  "jwt-key.created": ["authority", "algorithm"],
  "rotation.changed": [
    "kind",
    "rotation",
    "change",
    "from",
    "to",
    "old",
    "next",
    "others",
    "epoch",
    "reason",
    "waived",
    "waivedCount",
  ],
  "token.revoked": ["tokenId", "subject", "clientId"],
  "subject.revoked": ["subject", "issuedUntil"],
  "token.introspected": ["tokenId", "active"],
  "lineage.violated": ["spiffeId", "serial", "current", "frozen"],
  "audit.started": ["trustDomain", "incarnation", "before", "digest"],
  "audit.sealed": ["sequence", "hash", "mac"],
  "store.restored": ["incarnation", "before", "source", "epoch"],
  "admin.permitted": ["operation", "target", "role", "dryRun"],
  "admin.refused": ["operation", "target", "code", "reason", "count", "since"],
  "admin.failed": ["operation", "target", "code", "reason"],
  "admin.proposed": ["operation", "target", "role", "proposal", "digest", "expiresAt"],
  "admin.decided": ["operation", "target", "proposal", "digest", "outcome", "proposer"],
  "admin.executed": ["operation", "target", "proposal", "digest", "outcome", "reason", "proposer"],
  "login.refused": ["operation", "source", "code", "reason", "count", "since"],
  "ban.added": ["ban", "name", "reason", "until"],
  "ban.lifted": ["ban", "name", "reason"],
  "federation.accepted": [
    "trustDomain",
    "bundleSequence",
    "x509Authorities",
    "x509Count",
    "jwtAuthorities",
    "jwtCount",
  ],
  "federation.forgotten": ["trustDomain", "reason"],
} satisfies { readonly [Type in AuditEvent["type"]]: readonly Fields<Type>[] }
