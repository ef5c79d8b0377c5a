import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { type BanKind, parseBanTarget } from "../../src/core/ban/ban.ts"
import { parseWorkloadId } from "../../src/core/spiffe/id.ts"
import type { Intent, Requester } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, keyNameFor, NO_BANS, tbsFor } from "../support/issuance-fixtures.ts"
import { STORES, type StoreUnderTest } from "../support/stores.ts"

const NOW = FIXTURE_NOW
const WEB = parseWorkloadId("spiffe://prod.example/ns/shop/sa/web")
const CART = parseWorkloadId("spiffe://prod.example/ns/shop/sa/cart")

for (const { name, open } of STORES) {
  describe(`holdings: ${name}`, () => {
    test("sums up what each holder has for each identity, over every root, and when it ends", async () => {
      await using store = await openWithIssuers(open)
      await issue(store, "1", { notAfter: NOW + 100, createdAt: NOW - 50 })
      await issue(store, "2", { authorityId: NEWER, notAfter: NOW + 300, createdAt: NOW - 5 })
      await issue(store, "3", { authorityId: NEWER, notAfter: NOW + 200, createdAt: NOW - 20 })
      await issue(store, "4", { spiffeId: CART, notAfter: NOW + 50, createdAt: NOW - 50 })
      const { held } = await store.holdings.readHoldings(NOW)
      const found = held.find(({ spiffeId }) => spiffeId === WEB)
      const { roots, ...rest } = found ?? assert.fail("nothing is held")
      assert.deepEqual(rest, {
        holder: { ...holderFields(POD), proof: "" },
        spiffeId: WEB,
        notAfter: NOW + 300,
        lastIssued: NOW - 5,
      })
      assert.deepEqual(Object.fromEntries(roots.map(({ keyId, notAfter }) => [keyId, notAfter])), {
        "root-old": NOW + 100,
        "root-new": NOW + 300,
      })
      assert.equal(held.find(({ spiffeId }) => spiffeId === CART)?.notAfter, NOW + 50)
      assert.equal(held.length, 2)
    })

    test("counts an intent without outcome as issued, and nothing that has expired", async () => {
      await using store = await openWithIssuers(open)
      await issue(store, "1", { notAfter: NOW })
      assert.deepEqual((await store.holdings.readHoldings(NOW)).held, [])
      assert.equal((await store.holdings.readHoldings(NOW - 1)).held.length, 1)
    })

    test("finds what expires within seconds, at whatever second that is", async () => {
      await using store = await openWithIssuers(open)
      for (const end of [1, 100, 200, 255, 256, 257]) {
        await issue(store, `${end}`, { notAfter: NOW + end })
        for (const before of [1, 10]) {
          const { held } = await store.holdings.readHoldings(NOW + end - before)
          assert.equal(held[0]?.notAfter, NOW + end, `${before} s before ${end}`)
        }
      }
    })

    test("tells pods of one name apart, and holders without a pod by the token that they showed", async () => {
      await using store = await openWithIssuers(open)
      await issue(store, "1", {})
      await issue(store, "2", { requester: { ...POD, podUid: "another" } })
      const host = { ...POD, pod: "", podUid: "" }
      await issue(store, "3", { requester: host })
      await issue(store, "4", { requester: { ...host, evidenceDigest: new Uint8Array(32).fill(8) } })
      await issue(store, "5", { requester: { ...host, evidenceDigest: new Uint8Array(32).fill(8) } })
      const { held } = await store.holdings.readHoldings(NOW)
      const who = held.map(({ holder }) => holder.podUid || holder.proof.slice(0, 2)).sort()
      assert.deepEqual(who, ["08", "09", POD.podUid, "another"].sort())
    })

    test("says for each key when the last token that it signed expires", async () => {
      await using store = await openWithIssuers(open)
      await issue(store, "1", { kind: "jwt", authorityId: "kid-1", notAfter: NOW + 30 })
      await issue(store, "2", { kind: "jwt", authorityId: "kid-1", notAfter: NOW + 90 })
      await issue(store, "3", { kind: "jwt", authorityId: "kid-2", notAfter: NOW + 60 })
      await issue(store, "4", { kind: "jwt", authorityId: "kid-3", notAfter: NOW })
      await issue(store, "5", {})
      const { lastTokens, held } = await store.holdings.readHoldings(NOW)
      assert.deepEqual(Object.fromEntries(lastTokens), { "kid-1": NOW + 90, "kid-2": NOW + 60 })
      assert.equal(held.length, 1)
    })

    test("finds who has an unexpired certificate for a key, once for each holder and identity, also when another came since", async () => {
      await using store = await openWithIssuers(open)
      const [key, other] = [Buffer.from("one key"), Buffer.from("another")]
      await issue(store, "1", { tbs: tbsFor(key), notAfter: NOW + 100 })
      await issue(store, "2", { tbs: tbsFor(key), authorityId: NEWER, notAfter: NOW + 300 })
      await issue(store, "3", { tbs: tbsFor(other), notAfter: NOW + 900 })
      await issue(store, "4", { tbs: tbsFor(key), spiffeId: CART, notAfter: NOW + 200 })
      await issue(store, "5", { tbs: tbsFor(key), requester: { ...POD, podUid: "expired" }, notAfter: NOW })
      await issue(store, "6", { tbs: tbsFor(key), kind: "jwt" })
      const found = await store.holdings.readKeyHolders([keyNameFor(key), "0".repeat(64)], NOW)
      const expected = { key: keyNameFor(key), holder: { ...holderFields(POD), proof: "" } }
      assert.deepEqual(
        found.toSorted((a, b) => a.notAfter - b.notAfter),
        [
          { ...expected, spiffeId: CART, notAfter: NOW + 200 },
          { ...expected, spiffeId: WEB, notAfter: NOW + 300 },
        ],
      )
    })

    test("counts the holders that a ban names, each identity of a holder once, and says when the last of it expires", async () => {
      await using store = await openWithIssuers(open)
      await issue(store, "1", { notAfter: NOW + 100 })
      await issue(store, "2", { authorityId: NEWER, notAfter: NOW + 300 })
      await issue(store, "3", { spiffeId: CART, notAfter: NOW + 500 })
      await issue(store, "4", { requester: { ...POD, podUid: "another", node: "node-2" }, notAfter: NOW + 200 })
      await issue(store, "5", { requester: { ...POD, namespace: "other", podUid: "expired" }, notAfter: NOW })
      const count = (kind: BanKind, name: string) => store.holdings.countHolders(parseBanTarget(kind, name), NOW)
      const counts = await Promise.all([
        count("identity", WEB),
        count("prefix", "spiffe://prod.example/ns/shop"),
        count("cluster", "east"),
        count("namespace", "east/other"),
        count("node", "east/node-2"),
        count("pod", POD.podUid),
      ])
      const expected = [
        [2, 300],
        [3, 500],
        [3, 500],
        [0, undefined],
        [1, 200],
        [2, 500],
      ] as const
      assert.deepEqual(
        counts.map(({ holders, lastExpiry }) => [holders, lastExpiry === undefined ? undefined : lastExpiry - NOW]),
        expected,
      )
    })

    test("looks for many keys at once, and passes over what is no certificate", async () => {
      await using store = await openWithIssuers(open)
      const keys = ["a", "b", "c"].map((text) => Buffer.from(text))
      for (const [index, key] of keys.entries()) await issue(store, `${index}`, { tbs: tbsFor(key) })
      await issue(store, "9", { tbs: new Uint8Array(3) })
      const found = await store.holdings.readKeyHolders(keys.slice(1).map(keyNameFor), NOW)
      assert.deepEqual(found.map(({ key }) => key).sort(), keys.slice(1).map(keyNameFor).sort())
      assert.deepEqual(await store.holdings.readKeyHolders([], NOW), [])
    })

    test("[STO-39] says of each of a crowd whether it has a certificate that has not expired", async () => {
      await using store = await openWithIssuers(open)
      const [web, other] = [POD, { ...POD, podUid: "another" }]
      await issue(store, "1", { notAfter: NOW + 1 })
      await issue(store, "2", { requester: other, kind: "jwt", notAfter: NOW + 100 })
      const ask = (pod: Requester, at: number) => store.holdings.holdsCertificate(pod, at)
      assert.deepEqual(await Promise.all([ask(web, NOW), ask(web, NOW + 1), ask(other, NOW)]), [true, false, false])
      for (const field of ["cluster", "namespace", "pod", "podUid"] as const)
        assert.equal(await ask({ ...POD, [field]: "other" }, NOW), false)
      const crowd = await Promise.all(Array.from({ length: 1000 }, (_, i) => ask(i % 2 === 0 ? web : other, NOW)))
      assert.equal(crowd.filter((held) => held).length, 500)
    })

    test("finds nothing in an empty store", async () => {
      await using store = await open()
      assert.deepEqual(await store.holdings.readHoldings(NOW), { held: [], lastTokens: new Map() })
      assert.deepEqual(await store.holdings.readKeyHolders(["0".repeat(64)], NOW), [])
    })
  })
}

const OLDER = "5a".repeat(20)
const NEWER = "6b".repeat(20)
const POD: Requester = fixtureIntent("0").requester

function holderFields({ cluster, namespace, serviceAccount, pod, podUid, node }: Requester) {
  return { cluster, namespace, serviceAccount, pod, podUid, node }
}

async function openWithIssuers(open: () => Promise<StoreUnderTest>): Promise<StoreUnderTest> {
  const store = await open()
  for (const [authorityId, rootKeyId] of [
    [OLDER, "root-old"],
    [NEWER, "root-new"],
  ] as const) {
    await store.authorityJournal.adoptIssuing({
      authorityId,
      rootKeyId,
      certificate: new Uint8Array(3),
      notAfter: NOW + 86_400,
    })
  }
  return store
}

async function issue(store: StoreUnderTest, serial: string, change: Partial<Intent>): Promise<void> {
  await store.issuanceLog.recordIntent(
    fixtureIntent(serial, { spiffeId: WEB, ...change }),
    fixtureGrant(serial),
    NOW,
    NO_BANS,
  )
}
