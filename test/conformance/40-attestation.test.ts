import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { REFUSALS } from "../../src/app/attest/attestation-refusal.ts"
import { LocalCluster } from "../../src/main/demo/local-cluster.ts"
import {
  AUDIENCE,
  claimsOf,
  keysOf,
  makeAttestFixture,
  NEVER,
  ORDER,
  refusalOf,
  START,
  trust,
} from "../support/attest-fixture.ts"

test("[INV-16] a bound token becomes the claims it states, with the digest of the token", async () => {
  const { attest, cluster, pod } = makeAttestFixture()
  const token = cluster.issueToken(pod, ORDER)
  const { claims } = await attest(token, NEVER)
  deepEqual(
    { ...claims, evidenceDigest: Buffer.from(claims.evidenceDigest).length },
    {
      kind: "k8s-token",
      cluster: "east",
      namespace: "shop",
      serviceAccount: "cart",
      serviceAccountUid: pod.serviceAccountUid,
      pod: { name: "cart-0", uid: pod.uid },
      node: pod.node,
      tokenId: claimsOf(token)["jti"],
      expiresAt: START + 3600,
      evidenceDigest: 32,
      degraded: false,
    },
  )
})

test("[ATT-01] refuses a token longer than 16 KiB without verifying anything", async () => {
  const fixture = makeAttestFixture()
  equal(
    await refusalOf(fixture.attest(fixture.token({ pad: "x".repeat(16 * 1024) }), NEVER)),
    "token-malformed unauthenticated",
  )
  equal(fixture.verified, 0)
})

for (const iss of [
  "https://kubernetes.default.svc/",
  "HTTPS://kubernetes.default.svc",
  "https://kubernetes.default.sv\u0441",
  "",
  7,
  null,
]) {
  test(`[ATT-02][JOS-11] refuses the issuer ${JSON.stringify(iss)}, which is like the configured one`, async () => {
    const { attest, token } = makeAttestFixture()
    equal(await refusalOf(attest(token({ iss }), NEVER)), "issuer-unknown unauthenticated")
  })
}

test("[ATT-03][INV-16][KC-03] clusters that share an issuer are told apart by signature, never by claims", async () => {
  const fixture = makeAttestFixture()
  const west = new LocalCluster(fixture.cluster.issuer, () => fixture.clock.now())
  const twin = west.createPod("shop", "cart", "cart-0")
  equal(await refusalOf(fixture.attest(west.issueToken(twin, ORDER), NEVER)), "signature-invalid unauthenticated")
  fixture.clusters = [...fixture.clusters, trust("west", { keys: keysOf(west, fixture.clock) })]
  equal((await fixture.attest(west.issueToken(twin, ORDER), NEVER)).claims.cluster, "west")
  equal((await fixture.attest(fixture.token(), NEVER)).claims.cluster, "east")
})

test("[ATT-03] refuses a token that verifies for two clusters", async () => {
  const fixture = makeAttestFixture()
  fixture.clusters = [...fixture.clusters, trust("copy", { keys: keysOf(fixture.cluster, fixture.clock) })]
  equal(await refusalOf(fixture.attest(fixture.token(), NEVER)), "cluster-ambiguous unauthenticated")
})

test("[ATT-04] a token is good until the second before exp, and no longer, remembered or not", async () => {
  const { attest, clock, cluster, pod } = makeAttestFixture()
  const token = cluster.issueToken(pod, { ...ORDER, lifetime: 10 })
  await clock.advance(9)
  await attest(token, NEVER)
  await clock.advance(1)
  equal(await refusalOf(attest(token, NEVER)), "token-expired unauthenticated")
})

for (const claim of ["nbf", "iat"]) {
  test(`[ATT-04] accepts ${claim} 30 s ahead and refuses 31 s`, async () => {
    const { attest, token } = makeAttestFixture()
    await attest(token({ [claim]: START + 30 }), NEVER)
    equal(await refusalOf(attest(token({ [claim]: START + 31 }), NEVER)), "token-not-yet-valid unauthenticated")
  })
}

for (const aud of [["other"], [AUDIENCE, "other"], `${AUDIENCE}x`, "assay", AUDIENCE.toUpperCase()]) {
  test(`[ATT-05][KC-01][JOS-10] refuses the audience ${JSON.stringify(aud)}`, async () => {
    const { attest, token, reviewer } = makeAttestFixture()
    equal(await refusalOf(attest(token({ aud }), NEVER)), "audience-mismatch unauthenticated")
    equal(reviewer.asked.length, 0)
  })
}

test("[ATT-05] accepts a token for several audiences that are all ours", async () => {
  const { attest, token } = makeAttestFixture({ audiences: [AUDIENCE, "other"] })
  await attest(token({ aud: [AUDIENCE, "other"] }), NEVER)
})

for (const aud of [undefined, [], [[AUDIENCE]], [AUDIENCE, 1], "", { 0: AUDIENCE }]) {
  test(`[KC-01][JOS-10] refuses aud of the form ${JSON.stringify(aud)}`, async () => {
    const { attest, token } = makeAttestFixture()
    equal(await refusalOf(attest(token({ aud }), NEVER)), "claims-invalid unauthenticated")
  })
}

for (const sub of [
  "system:node:local-node",
  "admin",
  "system:serviceaccount:shop:other",
  "system:serviceaccount:other:cart",
  undefined,
]) {
  test(`[ATT-06][KC-05] refuses the subject ${sub}`, async () => {
    const { attest, token } = makeAttestFixture()
    equal(await refusalOf(attest(token({ sub }), NEVER)), "claims-invalid unauthenticated")
  })
}

test("[KC-05] names of the greatest length pass; a longer one, or one with a colon, does not", async () => {
  const { attest, cluster, token } = makeAttestFixture()
  const label = "n".repeat(63)
  const name = `${`${"s".repeat(62)}.`.repeat(4)}s`
  const { claims } = await attest(cluster.issueToken(cluster.createPod(label, name, name), ORDER), NEVER)
  equal(claims.serviceAccount, name)
  for (const [namespace, account] of [
    [`${label}n`, "cart"],
    ["shop", `${name}s`],
    ["shop", "a:cart"],
    ["Shop", "cart"],
  ]) {
    const bound = { namespace, serviceaccount: { name: account, uid: "u" } }
    const sub = `system:serviceaccount:${namespace}:${account}`
    equal(await refusalOf(attest(token({ sub, "kubernetes.io": bound }), NEVER)), "claims-invalid unauthenticated")
  }
})

test("[ATT-07] refuses a token without pod or node, unless the cluster is configured so", async () => {
  const fixture = makeAttestFixture({ review: { mode: "off" } })
  const serviceaccount = { name: "cart", uid: "u" }
  const pod = { name: "cart-0", uid: "p" }
  const bare = fixture.token({ "kubernetes.io": { namespace: "shop", serviceaccount } })
  const nodeless = fixture.token({ "kubernetes.io": { namespace: "shop", serviceaccount, pod, node: { name: "n" } } })
  equal(await refusalOf(fixture.attest(bare, NEVER)), "pod-binding-missing attestation-denied")
  equal(await refusalOf(fixture.attest(nodeless, NEVER)), "node-binding-missing attestation-denied")
  fixture.clusters = fixture.clusters.map((cluster) => ({
    ...cluster,
    requireBoundPod: false,
    requireBoundNode: false,
  }))
  equal((await fixture.attest(bare, NEVER)).claims.pod, undefined)
  equal((await fixture.attest(nodeless, NEVER)).claims.node, undefined)
})

for (const claims of [
  { iss: "kubernetes/serviceaccount" },
  { "kubernetes.io/serviceaccount/secret.name": "cart-token-x" },
]) {
  test(`[KC-02] refuses a legacy token with ${JSON.stringify(claims)}`, async () => {
    const { attest, token } = makeAttestFixture()
    equal(
      await refusalOf(attest(token({ ...claims, exp: undefined, aud: undefined }), NEVER)),
      "legacy-token unauthenticated",
    )
  })
}

for (const [exp, reason] of [
  [undefined, "claims-invalid"],
  [`${START + 60}`, "claims-invalid"],
  [-1, "claims-invalid"],
  [1e300, "claims-invalid"],
  [null, "claims-invalid"],
  [0, "token-expired"],
]) {
  test(`[JOS-09] refuses exp ${exp} of type ${typeof exp}`, async () => {
    const { attest, token } = makeAttestFixture()
    equal(await refusalOf(attest(token({ exp }), NEVER)), `${reason} unauthenticated`)
  })
}

for (const [name, value] of [
  ["nbf", "1"],
  ["iat", -5],
  ["nbf", 1e300],
] as const) {
  test(`[JOS-09] refuses ${name} ${JSON.stringify(value)}`, async () => {
    const { attest, token } = makeAttestFixture()
    equal(await refusalOf(attest(token({ [name]: value }), NEVER)), "claims-invalid unauthenticated")
  })
}

test("[KC-07][ATT-16] a new key is found by its kid, a removed one is refused after the set's lifetime", async () => {
  const { attest, clock, cluster, token } = makeAttestFixture()
  const old = token()
  await attest(old, NEVER)
  await clock.advance(31)
  cluster.rotateKey()
  await attest(token(), NEVER)
  cluster.rotateKey()
  await clock.advance(300)
  equal(await refusalOf(attest(old, NEVER)), "signature-invalid unauthenticated")
})

test("[ATT-19] each reason has one code of the three, and no two share a message", () => {
  const rows = Object.values(REFUSALS)
  equal(new Set(rows.map((row) => row.message)).size, rows.length)
  ok(rows.every((row) => ["unauthenticated", "attestation-denied", "attestor-down"].includes(row.code)))
  ok(rows.every((row) => (row.code === "attestor-down") === "retryAfter" in row))
})

test("[ATT-19] a refusal repeats nothing of the token", async () => {
  const { attest, token } = makeAttestFixture()
  const error: unknown = await attest(token({ aud: "canary-audience", sub: "canary-subject" }), NEVER).catch(
    (e: unknown) => e,
  )
  ok(error instanceof Error && !error.message.includes("canary"))
})
