import assert from "node:assert/strict"
import { test } from "node:test"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import type { FederatedDomain, FederationEvents } from "../../src/app/federate/events.ts"
import { type FederatedTrust, openFederatedTrust } from "../../src/app/federate/federated-trust.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { parseBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { FederatedBundles } from "../../src/ports/federated-bundles.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { fakeBundle } from "../support/fake-view.ts"
import { STORES } from "../support/stores.ts"

const PARTNER: FederatedDomain = { trustDomain: parseTrustDomain("partner.example"), bundleFile: "/partner.json" }
const OTHER: FederatedDomain = { trustDomain: parseTrustDomain("other.example"), bundleFile: "/other.json" }
const MISSING = new IdentityError("not-ready", "bundle file cannot be read: ENOENT")

/** One server after another over a store; files and configuration are a test's to change. */
class Federating {
  store: { readonly federatedBundles: FederatedBundles } = openMemoryStore()
  readonly clock = new FakeClock(1_800_000_000)
  readonly files = new Map<FederatedDomain, TrustBundle | IdentityError>()
  wanted: readonly FederatedDomain[] = [PARTNER]
  incarnation = "first"
  /** What consumers have, and what happened. */
  published: readonly TrustBundle[] = []
  readonly everPublished: string[] = []
  readonly told: string[] = []
  failPublishing = false

  async start(): Promise<FederatedTrust> {
    this.published = []
    return openFederatedTrust({
      wanted: () => this.wanted,
      read: async (domain) => {
        const found = this.files.get(domain) ?? MISSING
        if (found instanceof IdentityError) throw found
        return found
      },
      publish: async (bundles) => {
        if (this.failPublishing) throw new IdentityError("not-ready", "store cannot write")
        this.published = bundles
        this.everPublished.push(bundles.map(({ sequence }) => sequence).join())
      },
      store: this.store.federatedBundles,
      incarnation: this.incarnation,
      clock: this.clock,
      events: this.#events(),
    })
  }

  async restarted(): Promise<FederatedTrust> {
    const trust = await this.start()
    await trust.refresh()
    return trust
  }

  get sequences(): readonly number[] {
    return this.published.map(({ sequence }) => sequence)
  }

  /** What was told since the last time it was asked. */
  news(): readonly string[] {
    return this.told.splice(0)
  }

  #events(): FederationEvents {
    const tell = (text: string) => this.told.push(text)
    return {
      accepted: ({ trustDomain, sequence }, before) => tell(`${trustDomain} ${before?.sequence}>${sequence}`),
      dropped: (trustDomain) => tell(`dropped ${trustDomain}`),
      fileBad: ({ trustDomain }, standby, { message }) => tell(`bad ${trustDomain}, ${standby}: ${message}`),
      fileWell: ({ trustDomain }) => tell(`well ${trustDomain}`),
      keepFailed: ({ code }, isNews) => tell(`not kept: ${code}${isNews ? ", news" : ""}`),
      keptAgain: () => tell("kept again"),
      publishFailed: ({ code }) => tell(`not published: ${code}`),
    }
  }
}

const bundle = (sequence: number, trustDomain = "partner.example") =>
  fakeBundle(trustDomain, { sequence, x509Authorities: [new Uint8Array([sequence])], refreshHint: 300 })

test("[TD-12] the last good bundle stays while its file is bad, and is forgotten with the trust domain", async () => {
  const world = new Federating()
  world.files.set(PARTNER, bundle(1))
  const trust = await world.restarted()
  const seen = async (file: TrustBundle | undefined, wanted: readonly FederatedDomain[]) => {
    world.files.set(PARTNER, file ?? MISSING)
    world.wanted = wanted
    await trust.refresh()
    return world.sequences
  }
  assert.deepEqual(await seen(undefined, [PARTNER]), [1])
  assert.deepEqual(await seen(undefined, []), [])
  assert.deepEqual(await seen(undefined, [PARTNER]), [])
  assert.deepEqual(await seen(bundle(2), [PARTNER]), [2])
})

for (const { name, open } of STORES) {
  test(`[TD-13] what was last accepted is in force after a start at which its file is bad (${name})`, async () => {
    await using store = await open()
    const world = new Federating()
    world.store = store
    world.files.set(PARTNER, bundle(1))
    const first = await world.restarted()
    await world.clock.advance(60)
    world.files.set(PARTNER, bundle(2))
    await first.refresh()
    const acceptedAt = world.clock.now()
    world.files.delete(PARTNER)
    await world.clock.advance(3600)
    for (let again = 0; again < 2; again++) {
      world.news()
      const trust = await world.restarted()
      assert.deepEqual(world.published, [bundle(2)])
      assert.deepEqual(world.news(), [`bad partner.example, stored: ${MISSING.message}`])
      const [facts] = trust.facts()
      const about = { sequence: 2, refreshHint: 300, x509Authorities: 1, jwtAuthorities: 0, acceptedAt }
      assert.deepEqual([facts?.inForce, facts?.stored, facts?.bundle], ["kept", true, about])
    }
  })
}

test("[TD-13] an empty bundle, which trusts nobody, is kept like any other", async () => {
  const world = new Federating()
  world.files.set(PARTNER, bundle(1))
  const first = await world.restarted()
  const empty = fakeBundle("partner.example", { x509Authorities: [], sequence: 2 })
  world.files.set(PARTNER, empty)
  await first.refresh()
  world.files.delete(PARTNER)
  await world.restarted()
  assert.deepEqual(world.published, [empty])
})

test("[TD-14] a file that can be read is in force, also when it went back, and is what is kept", async () => {
  const world = new Federating()
  world.files.set(PARTNER, bundle(7))
  const first = await world.restarted()
  world.files.set(PARTNER, bundle(3))
  await first.refresh()
  assert.deepEqual(world.sequences, [3])
  // Taken out by hand while no server ran, under the sequence number that was there.
  const cut = { ...bundle(3), x509Authorities: [] }
  world.files.set(PARTNER, cut)
  world.news()
  const second = await world.restarted()
  assert.deepEqual([world.published, world.news()], [[cut], ["partner.example 3>3"]])
  assert.deepEqual(second.facts()[0]?.inForce, "file")
  world.files.delete(PARTNER)
  await world.restarted()
  assert.deepEqual(world.published, [cut])
})

test("[TD-14] what is kept is never published beside a file that can be read, also when another trust domain was taken out", async () => {
  const world = new Federating()
  world.wanted = [PARTNER, OTHER]
  world.files.set(PARTNER, bundle(1)).set(OTHER, bundle(5, "other.example"))
  await world.restarted()
  world.wanted = [PARTNER]
  world.files.set(PARTNER, bundle(2))
  world.everPublished.length = 0
  await world.restarted()
  assert.deepEqual(world.everPublished, ["2"])
})

test("[TD-15] what is not configured is forgotten in the store, also when it was taken out while no server ran", async () => {
  const world = new Federating()
  const store = openMemoryStore()
  world.store = store
  world.wanted = [PARTNER, OTHER]
  world.files.set(PARTNER, bundle(1)).set(OTHER, bundle(5, "other.example"))
  const first = await world.restarted()
  world.wanted = [OTHER]
  await first.refresh()
  assert.deepEqual((await store.federatedBundles.list()).map(sequenceOf), [5])
  world.wanted = []
  await world.restarted()
  assert.deepEqual(await store.federatedBundles.list(), [])
  world.files.clear()
  world.wanted = [PARTNER, OTHER]
  await world.restarted()
  assert.deepEqual(world.published, [])
  const forgotten = store.events.filter(({ type }) => type === "federation.forgotten")
  assert.deepEqual(
    forgotten.map((event) => [event.type === "federation.forgotten" && event.trustDomain, event.actor]),
    [
      ["partner.example", "server"],
      ["other.example", "server"],
    ],
  )
})

for (const fault of ["lost", "kept"] as const) {
  test(`[TD-16] trust follows the file while a write to the store is ${fault}, and the store follows as soon as it can`, async () => {
    const world = new Federating()
    const store = openMemoryStore()
    world.store = store
    world.files.set(PARTNER, bundle(1))
    const trust = await world.restarted()
    world.news()
    store.onWrite = (kind) => (kind === "federated-bundle" ? fault : "none")
    world.files.set(PARTNER, bundle(2))
    await trust.refresh()
    await trust.refresh()
    assert.deepEqual([world.sequences, trust.facts()[0]?.stored], [[2], false])
    assert.deepEqual(world.news(), ["partner.example 1>2", "not kept: not-ready, news", "not kept: not-ready"])
    store.onWrite = () => "none"
    await trust.refresh()
    assert.deepEqual([world.news(), trust.facts()[0]?.stored], [["kept again"], true])
    assert.deepEqual((await store.federatedBundles.list()).map(sequenceOf), [2])
    store.onWrite = (kind) => (kind === "federated-bundle" ? fault : "none")
    world.wanted = []
    await trust.refresh()
    assert.deepEqual(world.published, [])
    store.onWrite = () => "none"
    await trust.refresh()
    assert.deepEqual(await store.federatedBundles.list(), [])
  })
}

test("[TD-16] two changes in quick succession are written in order, each before consumers hear of it", async () => {
  const world = new Federating()
  const { federatedBundles } = openMemoryStore()
  const writes: string[] = []
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  world.store = {
    federatedBundles: {
      list: () => federatedBundles.list(),
      forget: (...order) => federatedBundles.forget(...order),
      keep: async (kept, audit) => {
        const { sequence } = kept.bundle
        await gates[sequence - 1]?.promise
        writes.push(`${sequence} over ${world.sequences.join()}`)
        await federatedBundles.keep(kept, audit)
      },
    },
  }
  const trust = await world.start()
  world.files.set(PARTNER, bundle(1))
  const first = trust.refresh()
  await new Promise((resolve) => setImmediate(resolve))
  world.files.set(PARTNER, bundle(2))
  const second = trust.refresh()
  gates[1]?.resolve()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([writes, world.sequences], [[], []])
  gates[0]?.resolve()
  await Promise.all([first, second])
  assert.deepEqual([writes, world.sequences], [["1 over ", "2 over 1"], [2]])
})

test("[TD-17] what was kept before a restore is not trusted, and forgotten; a file that can be read is", async () => {
  const world = new Federating()
  const store = openMemoryStore()
  world.store = store
  world.wanted = [PARTNER, OTHER]
  world.files.set(PARTNER, bundle(1)).set(OTHER, bundle(5, "other.example"))
  await world.restarted()
  world.incarnation = "second"
  world.files.delete(PARTNER)
  world.news()
  const trust = await world.restarted()
  assert.deepEqual([world.sequences, world.news()[0]], [[5], `bad partner.example, none: ${MISSING.message}`])
  assert.deepEqual(
    trust.facts().map(({ inForce, stored }) => [inForce, stored]),
    [
      ["none", false],
      ["file", true],
    ],
  )
  const kept = await store.federatedBundles.list()
  assert.deepEqual(
    kept.map(({ incarnation, bundle: { trustDomain } }) => [trustDomain, incarnation]),
    [["other.example", "second"]],
  )
  const event = store.events.find(({ type }) => type === "federation.forgotten")
  assert.equal(event?.type === "federation.forgotten" && event.reason, "restored")
})

test("[TD-19] a bad file is told when it becomes bad, when the reason changes, once an hour, and when it is well again", async () => {
  const world = new Federating()
  world.files.set(PARTNER, bundle(1))
  const trust = await world.restarted()
  const looks = async (count: number) => {
    for (let i = 0; i < count; i++) {
      await world.clock.advance(5)
      await trust.refresh()
    }
    return world.news()
  }
  world.news()
  world.files.set(PARTNER, MISSING)
  assert.deepEqual(await looks(100), [`bad partner.example, last-read: ${MISSING.message}`])
  world.files.set(PARTNER, new IdentityError("malformed", "not valid JSON"))
  assert.deepEqual(await looks(100), ["bad partner.example, last-read: not valid JSON"])
  assert.equal((await looks(720)).length, 1)
  const since = trust.facts()[0]?.trouble?.since
  assert.equal(since, 1_800_000_005)
  world.files.set(PARTNER, bundle(1))
  assert.deepEqual(await looks(100), ["well partner.example"])
  assert.equal(trust.facts()[0]?.trouble, undefined)
  world.files.set(PARTNER, MISSING)
  assert.equal((await looks(2)).length, 1)
  world.wanted = []
  await looks(1)
  world.wanted = [PARTNER]
  assert.deepEqual(await looks(2), [`bad partner.example, none: ${MISSING.message}`])
})

test("[TD-20] each change of what is trusted is recorded once, with its certificates and keys by name", async () => {
  const world = new Federating()
  const store = openMemoryStore()
  world.store = store
  world.files.set(PARTNER, bundle(1))
  const trust = await world.restarted()
  for (let again = 0; again < 3; again++) await trust.refresh()
  await world.restarted()
  const many = Array.from({ length: 100 }, (_, n) => new Uint8Array([n]))
  world.files.set(PARTNER, { ...bundle(2), x509Authorities: many })
  await (await world.restarted()).refresh()
  const [first, second, ...others] = store.events.filter(({ type }) => type === "federation.accepted")
  assert.deepEqual(others, [])
  assert.deepEqual(first, {
    type: "federation.accepted",
    at: world.clock.now(),
    actor: "server",
    requestId: "federation",
    trustDomain: "partner.example",
    bundleSequence: 1,
    x509Authorities: ["4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"],
    x509Count: 1,
    jwtAuthorities: [],
    jwtCount: 0,
  })
  assert.deepEqual(
    second?.type === "federation.accepted" && [second.x509Authorities.length, second.x509Count],
    [64, 100],
  )
})

test("[TD-21] a private member of a key in the file is kept nowhere", async () => {
  const world = new Federating()
  const store = openMemoryStore()
  world.store = store
  const member = "canary-private-member-of-a-key"
  const jwk = { kty: "EC", crv: "P-256", x: "AQ", y: "AQ", d: member, kid: "k1", use: "jwt-svid" }
  world.files.set(PARTNER, parseBundle(JSON.stringify({ keys: [jwk], note: member }), PARTNER.trustDomain))
  await world.restarted()
  const kept = await store.federatedBundles.list()
  assert.equal(kept[0]?.bundle.jwtAuthorities.length, 1)
  assert.equal(JSON.stringify([kept, store.events]).includes(member), false)
})

function sequenceOf({ bundle: { sequence } }: { readonly bundle: TrustBundle }): number {
  return sequence
}
