import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { openAdminClient } from "../../src/adapters/admin-client/open-admin-client.ts"
import { IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { NEVER } from "../support/issue-fixture.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { type Parting, SubscriberCrowd } from "../support/subscriber-crowd.ts"

const SUBSCRIBERS = 1000
const RATES = { identity_rate: "100000/s", identity_burst: 100_000, global_rate: "100000/s", global_burst: 100_000 }

test("[REVO-01][REVO-02][BAN-13] a ban ends 1,000 subscriptions of a real server, refuses every renewal of theirs, and touches nobody else", async () => {
  await using scratch = await makeScratch()
  const limits = { ...RATES, streams_per_connection: SUBSCRIBERS }
  const setup = await makeServerSetup(scratch.directory, { limits })
  const { roots } = await initTrustDomain(setup)
  await using server = await startServerProcess(setup)
  const at = { address: server.address, roots }
  const tokensOf = (serviceAccount: string, count: number) =>
    Array.from({ length: count }, () => setup.token({ serviceAccount }))
  using crowd = new SubscriberCrowd({ server: at, tokens: tokensOf("victim", SUBSCRIBERS), connections: 10 })
  const [neighbour = ""] = tokensOf("victim-2", 1)
  using neighbours = new SubscriberCrowd({ server: at, tokens: [neighbour], connections: 1 })
  await Promise.all([crowd.ready, neighbours.ready])
  const admin = openAdminClient({ kind: "socket", path: join(scratch.directory, "admin.sock") })
  const input = { kind: "identity", name: "spiffe://prod.example/ns/shop/sa/victim", reason: "drill", dry_run: false }
  const reply = await admin.call({ method: "POST", path: "/bans", input }, NEVER)
  assert.equal(reply["streams"], SUBSCRIBERS)
  const partings = await crowd.partings
  const counted = (fits: (parting: Parting) => boolean) => partings.filter(fits).length
  assert.equal(
    counted(({ reason }) => reason === "banned"),
    SUBSCRIBERS,
  )
  assert.equal(
    counted(({ evicted }) => evicted),
    SUBSCRIBERS,
  )
  assert.equal(
    counted(({ renewal }) => renewal === "banned"),
    SUBSCRIBERS,
  )
  using peer = new IdentityPeer(at)
  await peer.x509({ key: provenKey(neighbour) }, neighbour)
  const metrics = await (await fetch(`${server.healthUrl}/metrics`)).text()
  assert.match(metrics, /^assay_revocation_propagation_seconds_count 1$/m)
  assert.match(metrics, new RegExp(`^assay_ban_told_streams_total ${SUBSCRIBERS}$`, "m"))
  assert.match(metrics, /^assay_subscribers 1$/m)
})
