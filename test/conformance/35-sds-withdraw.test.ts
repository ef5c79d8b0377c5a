import assert from "node:assert/strict"
import { createHash, createPublicKey, X509Certificate } from "node:crypto"
import { describe, test } from "node:test"
import type { IdentityView } from "../../src/app/deliver/identity-source.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { nobodyRoot } from "../../src/core/x509/nobody-root.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { DeltaSession } from "../../src/transports/sds/delta-session.ts"
import { makeSecretEncoder, type ValidatorMode } from "../../src/transports/sds/secret-encoder.ts"
import { SPIRE_WORDS } from "../../src/transports/sds/secret-names.ts"
import type { Reply, Session } from "../../src/transports/sds/session.ts"
import { SotwSession } from "../../src/transports/sds/sotw-session.ts"
import { fakeSecrets, nack } from "../support/fake-secrets.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"

const NAME = "spiffe://partner.example"
const PARTNER = parseTrustDomain("partner.example")
const THERE = fakeSecrets(1, { [NAME]: ["trust", "1"] })
const GONE = fakeSecrets(2, {}, [NAME])

/** A stream of either door, as far as what is withdrawn goes. */
interface Door {
  readonly session: Session<never>
  /** The first request; `holds`: the proxy says that it has it. */
  readonly begin: (holds: boolean) => unknown
  readonly answer: (sent: Reply | undefined, refusal?: string) => unknown
}

const DOORS: Readonly<Record<string, () => Door>> = {
  sotw: () => {
    const session = new SotwSession({ names: 8 })
    const ask = (nonce: string, versionInfo = "", errorDetail?: ReturnType<typeof nack>) =>
      session.receive({ resourceNames: [NAME], responseNonce: nonce, versionInfo, errorDetail })
    return {
      session,
      begin: (holds) => ask("", holds ? "1" : ""),
      answer: (sent, refusal) => ask(sent?.nonce ?? "", "1", refusal === undefined ? undefined : nack(refusal)),
    }
  },
  delta: () => {
    const session = new DeltaSession({ names: 8 })
    const ask = (subscribe: string[], nonce: string, holds: boolean, errorDetail?: ReturnType<typeof nack>) =>
      session.receive({
        resourceNamesSubscribe: subscribe,
        resourceNamesUnsubscribe: [],
        responseNonce: nonce,
        initialResourceVersions: holds ? { [NAME]: "1" } : {},
        errorDetail,
      })
    return {
      session,
      begin: (holds) => ask([NAME], "", holds),
      answer: (sent, refusal) => ask([], sent?.nonce ?? "", false, refusal === undefined ? undefined : nack(refusal)),
    }
  },
}

for (const [name, open] of Object.entries(DOORS)) {
  describe(`what is withdrawn, ${name}`, () => {
    test("[SDS-22] a bundle that is gone is withdrawn once from a proxy that was sent it, and counts when it is acknowledged", () => {
      const { session, begin, answer } = open()
      session.publish(THERE)
      begin(false)
      answer(session.next(false))
      assert.equal(session.standing?.epoch, 1)
      session.publish(GONE)
      assert.ok(session.trustPending)
      assert.equal(session.standing?.epoch, 1)
      const sent = session.next(false)
      assert.deepEqual([versions(sent), sent?.removed], [["nobody"], []])
      assert.equal(session.standing?.epoch, 1)
      answer(sent)
      assert.deepEqual([session.next(false), session.standing?.epoch], [undefined, 2])
      session.publish(fakeSecrets(3, { [NAME]: ["trust", "1"] }))
      assert.deepEqual(versions(session.next(false)), ["1"])
    })

    test("[SDS-22] a proxy that refuses it is behind, and is not asked again", () => {
      const { session, begin, answer } = open()
      session.publish(THERE)
      begin(false)
      answer(session.next(false))
      session.publish(GONE)
      answer(session.next(false), "no")
      assert.deepEqual([session.next(false), session.standing?.nackReason], [undefined, "no"])
    })

    test("[SDS-22] a proxy that comes back and says that it has it loses it; one that has none waits", () => {
      for (const holds of [true, false]) {
        const { session, begin } = open()
        session.publish(GONE)
        begin(holds)
        assert.deepEqual(versions(session.next(false)), holds ? ["nobody"] : [])
      }
    })
  })
}

test("[SDS-22] only a trust domain without any root is withdrawn: not one whose identity is missing yet, nor a word, nor an SVID", () => {
  const svids = [fakeSvid("spiffe://prod.example/web", { federatesWith: [PARTNER] })]
  const cases: readonly (readonly [IdentityView, string, boolean])[] = [
    [fakeView({ svids }), NAME, true],
    [fakeView({ svids, federated: [fakeBundle(PARTNER, { x509Authorities: [] })] }), NAME, true],
    [fakeView({ federated: [fakeBundle(PARTNER)] }), NAME, false],
    [fakeView(), "spiffe://prod.example", false],
    [fakeView(), "spiffe://prod.example/other", false],
    [fakeView(), "ALL", false],
    [fakeView(), "file-root:system", false],
  ]
  for (const [view, name, isWithdrawn] of cases) {
    for (const mode of ["spiffe", "plain"] as const) {
      assert.equal(withdrawal(view, name, mode) !== undefined, isWithdrawn, name)
    }
  }
})

test("[SDS-22] what is withdrawn names the trust domain, has one root that nobody can sign below, and is always the same", () => {
  const root = new X509Certificate(nobodyRoot())
  assert.equal(root.ca, true)
  assert.equal(root.verify(root.publicKey), false)
  const { x } = root.publicKey.export({ format: "jwk" })
  const digests = Array.from({ length: 256 }, (_, count) =>
    createHash("sha256").update(`assay: a root below which nobody can sign, ${count}`).digest("base64url"),
  )
  assert.ok(digests.includes(x ?? ""))
  assert.equal(createPublicKey(root.toString()).asymmetricKeyDetails?.namedCurve, "prime256v1")
  for (const mode of ["spiffe", "plain"] as const) {
    const [one, other] = [1, 2].map((epoch) => withdrawal(fakeView({ epoch }), NAME, mode))
    assert.equal(one?.version, other?.version)
    const resource = Buffer.from(one?.resource ?? [])
    assert.ok(resource.includes(encodePem("CERTIFICATE", nobodyRoot())))
    assert.ok(resource.includes(mode === "spiffe" ? PARTNER : NAME))
  }
})

function withdrawal(view: IdentityView, name: string, mode: ValidatorMode) {
  const set = makeSecretEncoder(SPIRE_WORDS)(view, mode)
  return set.find(name) === undefined ? set.withdraw(name) : undefined
}

function versions(reply: Reply | undefined): readonly string[] {
  return reply?.secrets.map(({ version }) => version) ?? []
}
