import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import type { TokenReviewResult } from "../../src/ports/kube.ts"
import { AUDIENCE, makeAttestFixture, NEVER, ORDER, refusalOf } from "../support/attest-fixture.ts"

const EXTRA = "authentication.kubernetes.io/"
const down = () => {
  throw new IdentityError("attestor-down", "the cluster did not answer")
}

test("[INV-15][ATT-08] the cluster is asked with our audiences, once the token has passed every other check", async () => {
  const { attest, token, reviewer } = makeAttestFixture()
  await refusalOf(attest(token({ exp: 1 }), NEVER))
  equal(reviewer.asked.length, 0)
  const good = token()
  await attest(good, NEVER)
  deepEqual(reviewer.asked, [{ token: good, audiences: [AUDIENCE] }])
})

test("[KC-04] refuses the token of a deleted pod, and of one recreated under the same name", async () => {
  const { attest, cluster, pod, token } = makeAttestFixture()
  const old = token()
  cluster.deletePod(pod.uid)
  equal(await refusalOf(attest(old, NEVER)), "pod-deleted attestation-denied")
  cluster.createPod("shop", "cart", "cart-0")
  equal(await refusalOf(attest(token(), NEVER)), "pod-deleted attestation-denied")
})

test("[ATT-19] a token without pod that the cluster refuses is review-denied", async () => {
  const { attest, token, reviewer } = makeAttestFixture({ requireBoundPod: false, requireBoundNode: false })
  const bound = { namespace: "shop", serviceaccount: { name: "cart", uid: "u" } }
  // The stand-in cluster knows no tokens without pod.
  reviewer.review = async () => refusedAnswer
  equal(await refusalOf(attest(token({ "kubernetes.io": bound }), NEVER)), "review-denied attestation-denied")
})

const lies: readonly [string, string, (honest: TokenReviewResult) => TokenReviewResult][] = [
  ["KC-06", "pod-deleted", (honest) => ({ ...honest, error: "webhook failed" })],
  ["INV-15", "review-audience-mismatch", (honest) => ({ ...honest, audiences: [] })],
  ["INV-15", "review-audience-mismatch", (honest) => ({ ...honest, audiences: [`${AUDIENCE}/`] })],
  ["ATT-08", "review-mismatch", (honest) => ({ ...honest, username: "system:serviceaccount:shop:other" })],
  ["KC-05", "review-mismatch", (honest) => ({ ...honest, username: "system:node:local-node" })],
  ["ATT-08", "review-mismatch", (honest) => ({ ...honest, uid: "other" })],
  ...["pod-name", "pod-uid", "node-name", "node-uid", "credential-id"].flatMap((key) =>
    [["other"], ["a", "b"]].map((values): [string, string, (honest: TokenReviewResult) => TokenReviewResult] => [
      "ATT-08",
      "review-mismatch",
      (honest) => ({ ...honest, extra: { ...honest.extra, [`${EXTRA}${key}`]: values } }),
    ]),
  ),
  ...["pod-name", "pod-uid", "node-name", "node-uid"].map(
    (key): [string, string, (honest: TokenReviewResult) => TokenReviewResult] => [
      "ATT-08",
      "review-mismatch",
      (honest) => ({ ...honest, extra: { ...honest.extra, [`${EXTRA}${key}`]: [] } }),
    ],
  ),
]
for (const [i, [id, reason, lie]] of lies.entries()) {
  test(`[${id}] answer ${i} of the cluster that does not fit the token is refused as ${reason}`, async () => {
    const { attest, token, reviewer } = makeAttestFixture()
    reviewer.answer = lie
    equal(await refusalOf(attest(token(), NEVER)), `${reason} attestation-denied`)
  })
}

test("[ATT-09] off never asks; bootstrap asks until the pod holds a live SVID, and again when it has none", async () => {
  const off = makeAttestFixture({ review: { mode: "off" } })
  await off.attest(off.token(), NEVER)
  equal(off.reviewer.asked.length, 0)

  const fixture = makeAttestFixture()
  const { reviewer } = fixture
  fixture.clusters = fixture.clusters.map((c) => ({ ...c, review: { mode: "bootstrap", reviewer, degradedFor: 0 } }))
  await fixture.attest(fixture.token(), NEVER)
  equal(reviewer.asked.length, 1)
  fixture.livePods = new Set([fixture.pod.uid])
  await fixture.attest(fixture.token(), NEVER)
  equal(reviewer.asked.length, 1)
  fixture.livePods = new Set()
  await fixture.attest(fixture.token(), NEVER)
  equal(reviewer.asked.length, 2)
})

for (const mode of ["bootstrap", "always"] as const) {
  test(`[INV-17] mode ${mode}: a new identity gets attestor-down with a retry hint while the cluster is silent`, async () => {
    const fixture = makeAttestFixture()
    const { reviewer } = fixture
    fixture.clusters = fixture.clusters.map((c) => ({ ...c, review: { mode, reviewer, degradedFor: 600 } }))
    reviewer.answer = down
    equal(await refusalOf(fixture.attest(fixture.token(), NEVER)), "review-unavailable attestor-down")
    const error: unknown = await fixture.attest(fixture.token(), NEVER).catch((e: unknown) => e)
    equal(error instanceof IdentityError && error.retryAfter, 5)
  })
}

test("[ATT-10][INV-17] a live SVID is renewed as degraded for degradedFor from the first failure, and no longer", async () => {
  const fixture = makeAttestFixture()
  const { attest, clock, cluster, pod, reviewer, events } = fixture
  fixture.clusters = fixture.clusters.map((c) => ({ ...c, review: { mode: "always", reviewer, degradedFor: 600 } }))
  const long = () => cluster.issueToken(pod, { ...ORDER, lifetime: 7200 })
  fixture.livePods = new Set([pod.uid])
  reviewer.answer = down
  equal((await attest(long(), NEVER)).claims.degraded, true)
  deepEqual(events, ["review east failed", "checked degraded"])
  await clock.advance(599)
  equal((await attest(long(), NEVER)).claims.degraded, true)
  await clock.advance(1)
  equal(await refusalOf(attest(long(), NEVER)), "review-unavailable attestor-down")
  reviewer.answer = (honest) => honest
  equal((await attest(long(), NEVER)).claims.degraded, false)
  reviewer.answer = down
  equal((await attest(long(), NEVER)).claims.degraded, true)
})

test("[ATT-10] the degraded rule never overrules an answer, nor a local check", async () => {
  const fixture = makeAttestFixture()
  const { attest, cluster, pod, reviewer, token } = fixture
  fixture.clusters = fixture.clusters.map((c) => ({ ...c, review: { mode: "always", reviewer, degradedFor: 600 } }))
  fixture.livePods = new Set([pod.uid])
  const good = token()
  cluster.deletePod(pod.uid)
  equal(await refusalOf(attest(good, NEVER)), "pod-deleted attestation-denied")
  reviewer.answer = down
  equal(await refusalOf(attest(token({ exp: 1 }), NEVER)), "token-expired unauthenticated")
})

test("[ATT-10] an answer that takes longer than 5 s counts as none", async () => {
  const { attest, clock, reviewer, token, events } = makeAttestFixture()
  reviewer.answer = () => new Promise<TokenReviewResult>(() => {})
  const refused = refusalOf(attest(token(), NEVER))
  await clock.untilSleeping(2)
  await clock.advance(5)
  equal(await refused, "review-unavailable attestor-down")
  deepEqual(events, ["review east failed", "review-unavailable"])
})

test("[ATT-10] a fault in the reviewer itself is no outage: it stays internal", async () => {
  const fixture = makeAttestFixture()
  const { attest, reviewer, token, pod } = fixture
  fixture.clusters = fixture.clusters.map((c) => ({ ...c, review: { mode: "always", reviewer, degradedFor: 600 } }))
  fixture.livePods = new Set([pod.uid])
  reviewer.answer = () => {
    throw new TypeError("bug")
  }
  equal(await refusalOf(attest(token(), NEVER)), "undefined internal")
})

test("[ATT-11] 64 questions run, 1,024 wait, the next is refused with a hint", async () => {
  const { attest, reviewer, token } = makeAttestFixture()
  const open = Promise.withResolvers<void>()
  reviewer.answer = (honest) => open.promise.then(() => honest)
  const crowd = Array.from({ length: 64 + 1024 + 1 }, () => attest(token(), NEVER))
  const outcomes = Promise.allSettled(crowd)
  // Nobody is answered yet, so the first to hear anything is the one who finds no place.
  equal(await refusalOf(Promise.race(crowd)), "attestation-busy attestor-down")
  equal(reviewer.asked.length, 64)
  open.resolve()
  equal((await outcomes).filter(({ status }) => status === "rejected").length, 1)
  equal(reviewer.asked.length, 64 + 1024)
})

const refusedAnswer: TokenReviewResult = {
  authenticated: false,
  error: "",
  username: "",
  uid: "",
  audiences: [],
  extra: {},
}
