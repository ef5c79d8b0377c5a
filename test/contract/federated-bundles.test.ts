import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { KeptBundle } from "../../src/ports/federated-bundles.ts"
import { fakeBundle } from "../support/fake-view.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { STORES } from "../support/stores.ts"

const PARTNER = parseTrustDomain("partner.example")

for (const { name, open } of STORES) {
  describe(`federated bundles: ${name}`, () => {
    test("gives back what was kept, every field, by trust domain", async () => {
      await using store = await open()
      const { authority } = makeJwtKey()
      const full = kept("partner.example", {
        x509Authorities: [new Uint8Array([1, 2, 3]), new Uint8Array(70_000).fill(7)],
        jwtAuthorities: [authority],
        sequence: Number.MAX_SAFE_INTEGER,
        refreshHint: 300,
      })
      const empty = kept("another.example", { x509Authorities: [], sequence: 0 })
      for (const one of [full, empty]) await store.federatedBundles.keep(one, AUDIT)
      assert.deepEqual(await store.federatedBundles.list(), [empty, full])
    })

    test("replaces what was known of a trust domain, and forgets it, once or twice", async () => {
      await using store = await open()
      const [first, other] = [kept("partner.example"), kept("other.example")]
      const second = { ...kept("partner.example", { sequence: 2 }), acceptedAt: FIXTURE_NOW + 9, incarnation: "b" }
      for (const one of [first, other, second, second]) await store.federatedBundles.keep(one, AUDIT)
      assert.deepEqual(await store.federatedBundles.list(), [other, second])
      for (let twice = 0; twice < 2; twice++) await store.federatedBundles.forget(PARTNER, AUDIT)
      assert.deepEqual(await store.federatedBundles.list(), [other])
    })

    test("writes in the order of the calls", async () => {
      await using store = await open()
      const writes = [1, 2, 3].map((sequence) =>
        store.federatedBundles.keep(kept("partner.example", { sequence }), AUDIT),
      )
      await Promise.all([...writes, store.federatedBundles.keep(kept("partner.example", { sequence: 4 }), AUDIT)])
      assert.equal((await store.federatedBundles.list())[0]?.bundle.sequence, 4)
    })
  })
}

function kept(trustDomain: string, fields: Parameters<typeof fakeBundle>[1] = {}): KeptBundle {
  const x509Authorities = [new Uint8Array(Buffer.from(trustDomain))]
  const bundle = fakeBundle(trustDomain, { x509Authorities, ...fields })
  return { bundle, acceptedAt: FIXTURE_NOW, incarnation: "a" }
}

const AUDIT: AuditEvent = {
  type: "federation.forgotten",
  at: FIXTURE_NOW,
  actor: "server",
  requestId: "federation",
  trustDomain: "partner.example",
  reason: "not-configured",
}
