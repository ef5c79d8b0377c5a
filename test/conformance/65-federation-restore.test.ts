import assert from "node:assert/strict"
import { rm, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { readKeptBundles } from "../../src/adapters/sqlite/read-kept-bundles.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { openTrustState } from "../../src/app/authority/trust-state.ts"
import { encodeBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { ServerConfig } from "../../src/main/config/server-config.ts"
import { openFederation } from "../../src/main/server/federation.ts"
import { makeFederationEvents } from "../../src/main/server/federation-events.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { initServerState, openServerState } from "../../src/main/server/state.ts"
import { fakeBundle } from "../support/fake-view.ts"
import { quietLog } from "../support/quiet-log.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { makeTestCa } from "../support/test-ca.ts"

const [PARTNER, OTHER] = [parseTrustDomain("partner.example"), parseTrustDomain("other.example")]
const [STOLEN, FRESH] = [PARTNER, PARTNER].map((trustDomain) => makeTestCa({ trustDomain }).root.certificate.der)

test("[TD-17][TD-28] a backup that knows a root of a partner that was taken out since brings it back in no case, and restore names it", async () => {
  await using scratch = await makeScratch()
  const files = { partner: scratch.path("partner.json"), other: scratch.path("other.json") }
  const federation = [
    { trust_domain: PARTNER, bundle_file: files.partner },
    { trust_domain: OTHER, bundle_file: files.other },
  ]
  const setup = await makeServerSetup(scratch.directory, { federation })
  const config = setup.parse({ federation })
  const [database, copy] = [scratch.path("assay.db"), scratch.path("copy.db")]
  await initServerState(config, () => readSealingKey(config, {}), systemClock, makeSystemRandom())
  await writeFile(files.partner, bundleText(PARTNER, 7, STOLEN))
  await writeFile(files.other, bundleText(OTHER, 3, FRESH))
  assert.deepEqual(await inForce(config), ["partner.example file 7", "other.example file 3"])
  assert.equal((await runAssay(["backup", "-c", setup.configFile, "--to", copy])).code, 0)
  await writeFile(files.partner, bundleText(PARTNER, 5, FRESH)) // by hand, and nobody thought of a number
  assert.deepEqual(await inForce(config), ["partner.example file 5", "other.example file 3"])

  for (const suffix of ["", "-wal", "-shm"]) await rm(`${database}${suffix}`, { force: true })
  const restore = (...more: readonly string[]) => runAssay(["restore", "-c", setup.configFile, "--from", copy, ...more])
  const tried = await restore("-o", "json")
  assert.equal(tried.code, 0, tried.err)
  const named: readonly { trust_domain: string; sequence: number; accepted_at: number }[] = JSON.parse(
    tried.out,
  ).forgotten_bundles
  assert.deepEqual(
    named.map(({ trust_domain, sequence }) => [trust_domain, sequence]),
    [
      [OTHER, 3],
      [PARTNER, 7],
    ],
  )
  const done = await restore("--yes")
  assert.equal(done.code, 0, done.err)
  assert.match(
    done.out,
    /does not count any more.*\n +other\.example: sequence 3, .*\n +partner\.example: sequence 7, /,
  )

  await rm(files.other)
  assert.deepEqual(await inForce(config), ["partner.example file 5", "other.example none"])
  const kept = readKeptBundles(database).map(({ bundle: { trustDomain, sequence } }) => [trustDomain, sequence])
  assert.deepEqual(kept, [[PARTNER, 5]], "what the backup knew is gone for good")
  await rm(files.partner)
  assert.deepEqual(await inForce(config), ["partner.example kept 5", "other.example none"])
})

/** Of a server that starts and stops: what is in force of each, and that consumers get just that. */
async function inForce(config: ServerConfig): Promise<readonly string[]> {
  const state = await openServerState(config, await readSealingKey(config, {}), quietLog)
  await using _store = state.store
  await using _crypto = state.crypto
  const trust = await openTrustState(state.journal)
  const federation = await openFederation({
    domains: () => config.federation,
    reconfigured: () => new Promise(() => undefined),
    incarnation: trust.record().incarnation,
    publish: (bundles) => trust.setFederated(bundles),
    store: state.store.federatedBundles,
    clock: systemClock,
    events: makeFederationEvents(quietLog, makeServerMetrics()),
  })
  await federation.run(AbortSignal.abort())
  const facts = federation.facts()
  assert.deepEqual(
    trust.snapshot().federated.map(({ sequence }) => sequence),
    facts.flatMap(({ bundle }) => bundle?.sequence ?? []),
  )
  return facts.map((fact) => [fact.trustDomain, fact.inForce, ...(fact.bundle ? [fact.bundle.sequence] : [])].join(" "))
}

function bundleText(trustDomain: string, sequence: number, root: Uint8Array | undefined): string {
  return encodeBundle(fakeBundle(trustDomain, { sequence, x509Authorities: root === undefined ? [] : [root] }))
}
