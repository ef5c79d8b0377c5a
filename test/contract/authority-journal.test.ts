import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { STORES } from "../support/stores.ts"

const FIRST: AuthorityRecord = {
  trustDomain: parseTrustDomain("prod.example"),
  incarnation: "b8c4",
  revision: 1,
  epoch: 1,
  requiredEpoch: 1,
  roots: [
    {
      keyId: "root-1",
      certificate: new Uint8Array([0x30, 0, 255]),
      notAfter: FIXTURE_NOW,
      state: "active",
      crossCertificates: [new Uint8Array([0x30, 1, 254]), new Uint8Array([0x30, 2])],
    },
  ],
  jwtKeys: [
    {
      keyId: "jwt-1",
      kid: "thumbprint",
      algorithm: "ES256",
      jwk: { kty: "EC", crv: "P-256", x: "x", y: "y" },
      state: "retired",
      since: FIXTURE_NOW,
      signedUntil: FIXTURE_NOW,
    },
  ],
  rotations: {
    x509: {
      phase: "published",
      id: "r-1",
      old: "aa",
      next: "bb",
      others: ["cc"],
      keyId: "root-2",
      epoch: 2,
      epochSince: FIXTURE_NOW,
      startedAt: FIXTURE_NOW,
      since: FIXTURE_NOW,
      auto: false,
      stopped: "refused by web",
      paused: true,
      emergency: false,
      canary: { namespaces: ["canary"], prefixes: ["spiffe://prod.example/ns/shop"] },
      waivers: [{ point: "sp1", by: "alice", reason: "gone for good", at: FIXTURE_NOW, consumers: ["web"] }],
    },
    jwt: { phase: "stable" },
  },
  controller: { holder: "h1", token: 3, until: FIXTURE_NOW },
  emergencyEpochs: { x509: 4 },
  looseKeys: { x509: { chosen: "root-3", left: ["root-4"] }, jwt: { left: [] } },
}
const ISSUING = {
  authorityId: "5a".repeat(20),
  certificate: new Uint8Array([0x30, 1]),
  rootKeyId: "root-1",
  notAfter: FIXTURE_NOW,
}

for (const { name, open } of STORES) {
  describe(`authority journal: ${name}`, () => {
    test("has no record until one is created, then exactly that", async () => {
      await using store = await open()
      assert.equal(await store.authorityJournal.read(), undefined)
      await store.authorityJournal.create(FIRST)
      assert.deepEqual(await store.authorityJournal.read(), FIRST)
    })

    test("is created once", async () => {
      await using store = await open()
      await store.authorityJournal.create(FIRST)
      await assert.rejects(store.authorityJournal.create({ ...FIRST, incarnation: "other" }), refusal("already-exists"))
      assert.deepEqual(await store.authorityJournal.read(), FIRST)
    })

    test("is replaced only by the next revision, and by one of two writers", async () => {
      await using store = await open()
      await assert.rejects(store.authorityJournal.replace({ ...FIRST, revision: 2 }), refusal("conflict"))
      await store.authorityJournal.create(FIRST)
      const outcomes = await Promise.allSettled(
        ["left", "right"].map((incarnation) => store.authorityJournal.replace({ ...FIRST, revision: 2, incarnation })),
      )
      assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ["fulfilled", "rejected"])
      assert.ok(outcomes.every((o) => o.status === "fulfilled" || refusal("conflict")(o.reason)))
      for (const revision of [1, 2, 4]) {
        await assert.rejects(store.authorityJournal.replace({ ...FIRST, revision }), refusal("conflict"))
      }
      assert.equal((await store.authorityJournal.read())?.revision, 2)
    })

    test("keeps issuing authorities by id and never replaces one", async () => {
      await using store = await open()
      await assert.rejects(store.authorityJournal.readIssuing(ISSUING.authorityId), refusal("not-found"))
      await store.authorityJournal.adoptIssuing(ISSUING)
      await assert.rejects(
        store.authorityJournal.adoptIssuing({ ...ISSUING, rootKeyId: "other" }),
        refusal("already-exists"),
      )
      assert.deepEqual(await store.authorityJournal.readIssuing(ISSUING.authorityId), ISSUING)
    })
  })
}
