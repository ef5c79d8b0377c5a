import assert from "node:assert/strict"
import { once } from "node:events"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { commitThenSign } from "../../src/app/issue/commit-then-sign.ts"
import { trustProbeName } from "../../src/core/spiffe/probe-name.ts"
import { verifySvidChain } from "../../src/core/x509/path.ts"
import { parsePem } from "../../src/core/x509/pem.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { type KeptTls, type OwnServingDeps, openServingTls } from "../../src/main/server/serving-certificate.ts"
import { runServer, type ServerPorts } from "../../src/main/server.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { boundActiveRoot } from "../support/bounded-root.ts"
import { NO_BANS } from "../support/issuance-fixtures.ts"
import { openIssueFixture } from "../support/issue-fixture.ts"
import { quietLog } from "../support/quiet-log.ts"
import { ALICE, openRotatingServer, type RotatingServer, shake } from "../support/rotating-server.ts"
import { RotationOperator } from "../support/rotation-mesh/rotation-operator.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { makeBundle } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const QUICK = { config: { rotation: { skew: "0s" } } }
const WAIVER = { by: "alice", reason: "stolen", consumers: "all" } as const

test("[ROT-71] who trusts any one earlier root that lives recognises the server, after each rotation", async () => {
  await using server = await openRotatingServer(QUICK)
  const roots = [...server.bundle()]
  for (let round = 1; round <= 3; round++) {
    await rotate(server)
    roots.push(...server.bundle())
    for (const root of roots) assert.equal(await shake(server, "localhost", root), "trusted")
    assert.equal(chainOf(server).length, 2 + round)
  }
  const { trustDomain } = server.pipeline.trust.record()
  for (const root of roots) verifySvidChain(chainOf(server), makeBundle(trustDomain, [root]), server.clock.now())
})

test("[ROT-71] while a rotation can go back, the server shows what those know who vouch for the root that signs", async () => {
  await using server = await openRotatingServer(QUICK)
  await rotate(server)
  const [old] = server.bundle()
  assert.ok(old !== undefined)
  await server.publish()
  const next = server.bundle().find((der) => der !== old)
  assert.ok(next !== undefined)
  assert.deepEqual([await shake(server, "localhost", next), chainOf(server).length], ["untrusted", 3])
  await server.activate()
  await until("the certificate of the new root", () => chainOf(server).length === 4)
  assert.deepEqual(
    [await shake(server, "localhost", next), await shake(server, "localhost", old)],
    ["trusted", "trusted"],
  )
  await server.rotation.operate.rollback(ALICE)
  await until("the certificate of the old root", () => chainOf(server).length === 3)
  assert.equal(await shake(server, "localhost", next), "untrusted")
})

test("[ROT-71] every listener with TLS shows them: gRPC, the token endpoint and the admin API", async () => {
  await using scratch = await makeScratch("serving")
  const ports = { grpc: "127.0.0.1:0", https: "127.0.0.1:0", admin: "127.0.0.1:0", health: "127.0.0.1:0" }
  const settings = { listen: ports, oauth: { issuer: "https://assay.example" }, rotation: { skew: "0s" } }
  const setup = await makeServerSetup(scratch.directory, settings)
  const [first] = parsePem((await initTrustDomain(setup)).roots, "CERTIFICATE", { maxLength: 65_536, maxBlocks: 1 })
  assert.ok(first !== undefined)
  const config = setup.parse(settings)
  const stop = new AbortController()
  const bound = Promise.withResolvers<ServerPorts>()
  const running = runServer(
    {
      config,
      sealingKey: await readSealingKey(config, {}),
      log: quietLog,
      watch: (_adopt, _metrics, signal) => once(signal, "abort").then(() => undefined),
      listening: bound.resolve,
    },
    stop.signal,
  )
  running.catch(bound.reject)
  try {
    const { grpc, https = 0, adminHttps = 0 } = await bound.promise
    const operator = new RotationOperator(scratch.path("admin.sock"))
    await operator.start(true)
    await until("the end", async () => (await operator.status()).phase === "stable", 60_000)
    for (const port of [grpc, https, adminHttps]) assert.equal(await shake({ port }, "localhost", first), "trusted")
  } finally {
    stop.abort()
    await running
  }
})

test("[ROT-72] the trust probe has no cross-certificate, and with one it would prove nothing", async () => {
  await using server = await openRotatingServer(QUICK)
  const probe = trustProbeName(server.pipeline.trust.record().trustDomain)
  await rotate(server)
  const [old] = server.bundle()
  await server.publish()
  const [next] = server.bundle().slice(1)
  assert.ok(old !== undefined && next !== undefined)
  assert.equal(await shake(server, probe, next), "trusted")
  assert.equal(await shake(server, probe, old), "untrusted", "who does not trust the new root proves that it does")
  await server.activate()
  await until("the certificate of the new root", () => chainOf(server).length === 4)
  server.tls.showProbe(probe, server.serving.certificate())
  assert.equal(await shake(server, probe, old), "trusted", "this test sees a probe that carries them")
})

for (const phase of ["publishing", "draining"] as const) {
  test(`[ROT-73] at the step that declares an emergency in ${phase} the server stops to show who vouched for its root`, async () => {
    await using server = await openRotatingServer({ config: { rotation: { skew: "600s" } } })
    const [old] = server.bundle()
    assert.ok(old !== undefined)
    await server.publish()
    if (phase === "draining") {
      await server.activate()
      await until("the certificate of the new root", () => chainOf(server).length === 3)
    }
    assert.equal(await shake(server, "localhost", old), "trusted")
    await server.rotation.operate.emergency(WAIVER, ALICE)
    await until("another certificate", async () => (await shake(server, "localhost", old)) === "untrusted")
    assert.equal(chainOf(server).length, 2)
    const [root] = server.bundle()
    assert.ok(root !== undefined && server.bundle().length === 1)
    assert.equal(await shake(server, "localhost", root), "trusted")
  })
}

test("[ROT-74] the plan says who has to be started anew when the root of an earlier version cannot vouch", async () => {
  await using server = await openAdminUnderTest()
  const plan = async () => (await runAssay(["rotation", "plan", "--admin-socket", server.admin.socket])).out
  assert.doesNotMatch(await plan(), /started anew/)
  await boundActiveRoot(server.pipeline.trust, server.state.keys)
  assert.match(await plan(), /^who reads the server's roots once, at its start, has to be started anew this time/m)
})

test("[IDA-25] a certificate that cannot be renewed is tried again ever more slowly, up to each minute", async () => {
  const { trust, issuing, store, clock } = await openIssueFixture()
  const sign = commitThenSign(store.issuanceLog)
  let [keys, isBroken] = [0, false]
  const deps: OwnServingDeps = {
    ...{ trust, clock, random: makeSystemRandom(), plan: { ttl: 3600, backdate: 10, serialPrefix: 1 } },
    issuing: { ...issuing, prepared: () => undefined, signsWith: () => "root" },
    signIntent: (order) => sign({ ...order, guards: NO_BANS }),
    ephemeral: {
      ...processKeys,
      makeWorkloadKey: async (algorithm) => {
        keys++
        if (isBroken) throw new Error("told to fail")
        return processKeys.makeWorkloadKey(algorithm)
      },
    },
  }
  const own = { kind: "own", dnsNames: ["localhost"], ipAddresses: [] } as const
  const serving = await openServingTls(own, deps, { headerBytes: 16_384, streamsPerConnection: 8 }, quietLog)
  const before = serving.certificate()
  const stop = new AbortController()
  const running = serving.run(stop.signal)
  isBroken = true
  const tries: number[] = []
  // Half an hour to the first, and then as long as it takes.
  for (const wait of [1800, 1, 2, 4, 8, 16, 32, 60, 60]) {
    await clock.untilSleeping(1)
    await clock.advance(wait - 0.5)
    tries.push(keys)
    await clock.advance(0.5)
  }
  assert.deepEqual(tries, [1, 2, 3, 4, 5, 6, 7, 8, 9])
  assert.equal(serving.certificate(), before)
  stop.abort()
  await running
})

test("[ROT-75] a renewal that was begun before another root signed does not bring back a certificate of the one before", async () => {
  const { trust, issuing, store, clock } = await openIssueFixture()
  const sign = commitThenSign(store.issuanceLog)
  const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let [root, keys] = ["old", 0]
  const deps: OwnServingDeps = {
    ...{ trust, clock, random: makeSystemRandom(), plan: { ttl: 3600, backdate: 10, serialPrefix: 1 } },
    issuing: { ...issuing, prepared: () => undefined, signsWith: () => root },
    signIntent: (order) => sign({ ...order, guards: NO_BANS }),
    ephemeral: {
      ...processKeys,
      makeWorkloadKey: async (algorithm) => {
        if (++keys === 2) {
          begun.resolve()
          await go.promise
        }
        return processKeys.makeWorkloadKey(algorithm)
      },
    },
  }
  const own = { kind: "own", dnsNames: ["localhost"], ipAddresses: [] } as const
  const serving = await openServingTls(own, deps, { headerBytes: 16_384, streamsPerConnection: 8 }, quietLog)
  const stop = new AbortController()
  const running = serving.run(stop.signal)
  await clock.advance(1800)
  await begun.promise
  await issuing.rotate()
  root = "new"
  const followed = serving.followRoot()
  await setImmediate()
  if (keys > 2) await followed // it did not wait
  go.resolve()
  await followed
  await clock.untilSleeping(1)
  assert.deepEqual(chainOf({ serving })[1], issuing.current().certificate)
  stop.abort()
  await running
})

async function rotate(server: RotatingServer): Promise<void> {
  const [before] = server.bundle()
  await server.rotation.operate.start({ auto: true, canary: { namespaces: [], prefixes: [] } }, ALICE)
  await until("the end", () => server.phase() === "stable" && server.bundle()[0] !== before)
}

/** What the listeners show, DER. */
function chainOf({ serving }: { readonly serving: Pick<KeptTls, "certificate"> }): readonly Uint8Array[] {
  return parsePem(serving.certificate().chain, "CERTIFICATE", { maxLength: 65_536, maxBlocks: 32 })
}
