import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { Channel } from "../../src/adapters/identity-client/channel.ts"
import { openIdentityClient } from "../../src/adapters/identity-client/open-identity-client.ts"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { trustProbeName } from "../../src/core/spiffe/probe-name.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { IdentityAuthority, Subscription } from "../../src/ports/identity-authority.ts"
import { quietLog } from "../support/quiet-log.ts"
import { ALICE, openRotatingServer, shake } from "../support/rotating-server.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const NEVER = new AbortController().signal

test("[EV-4] the probe name is served by the prepared root alone, only while there is one, and other names as ever", async () => {
  await using it = await openProbed()
  const { server, rotation } = it
  const [old] = it.roots()
  assert.ok(old !== undefined)
  assert.equal(await shake(server, it.probe, old), "refused")
  await it.publish()
  const [, next] = it.roots()
  assert.ok(next !== undefined)
  assert.equal(await shake(server, it.probe, next), "trusted")
  assert.equal(await shake(server, it.probe, old), "untrusted")
  assert.equal(await shake(server, "localhost", old), "trusted")
  assert.equal(await shake(server, "localhost", next), "untrusted")
  await rotation.operate.abort(undefined, ALICE)
  await until("the probe to end", () => server.serving.probe() === undefined)
  assert.equal(await shake(server, it.probe, next), "refused")
})

test("[EV-4] a quote over a connection that needs the prepared root is a trust probe, and any other a quote", async () => {
  await using it = await openProbed()
  await it.publish()
  const { epoch } = it.server.pipeline.trust.snapshot()
  const spiffeId = "spiffe://prod.example/ns/shop/sa/web"
  assert.deepEqual(await it.grades(), [])
  await using plain = it.open()
  await issue(plain, spiffeId, epoch)
  assert.deepEqual(await it.grades(), [`quoted-epoch ${epoch}`])
  await using agent = it.open()
  const subscription = agent.subscribe(NEVER)
  subscription.report([{ name: "client", kind: "workload-api", epoch: 0, nackReason: undefined }], 0)
  await adopt(subscription)
  await issue(agent, spiffeId, epoch)
  await until("the proof", async () => (await it.grades()).includes(`trust-probe ${epoch}`))
  await issue(agent, spiffeId, epoch + 1)
  assert.ok(!(await it.grades()).includes(`trust-probe ${epoch + 1}`), "nobody holds what was not published")
  assert.equal(it.failed(), 0)
})

test("[AGT-44] a bundle that does not verify the prepared root is counted, and nothing is proven", async () => {
  await using it = await openProbed()
  await it.publish()
  const [old, next] = it.roots()
  const stranger = makeTestCa().root.certificate.der
  assert.ok(old !== undefined && next !== undefined)
  let failed = 0
  const endpoint = {
    host: "127.0.0.1",
    port: it.server.port,
    trustDomain: it.trustDomain,
    knownBy: "spiffe-id",
  } as const
  const deps = { clock: systemClock, log: quietLog, probeFailed: () => void failed++ }
  using channel = new Channel(endpoint, { kind: "bundle-file", file: it.bundleFile }, deps)
  ;(await channel.lease(new AbortController().signal))[Symbol.dispose]()
  assert.equal((await channel.prove()).kind, "none", "the bootstrap says nothing of a rotation")
  channel.trust([old])
  assert.equal((await channel.prove()).kind, "none", "one root is no rotation")
  channel.trust([old, stranger])
  assert.equal((await channel.prove()).kind, "untrusted")
  assert.equal(failed, 1)
  channel.trust([old, next])
  const proof = await channel.prove()
  assert.ok(proof.kind === "proven")
  proof.client.close()
  assert.equal(failed, 1)
})

test("[AGT-44] who cannot prove trust quotes nothing, and is given its SVID all the same", async () => {
  await using it = await openProbed()
  await it.publish()
  // The root that is tried is not the one that the bundle names.
  const stranger = makeTestCa({ trustDomain: it.trustDomain }).issueLeaf(`spiffe://${it.trustDomain}/assay/server`)
  it.server.tls.showProbe(it.probe, {
    chain: stranger.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    key: encodePem("PRIVATE KEY", stranger.pkcs8),
  })
  await using agent = it.open()
  await adopt(agent.subscribe(NEVER))
  const { epoch } = it.server.pipeline.trust.snapshot()
  await issue(agent, "spiffe://prod.example/ns/shop/sa/web", epoch)
  assert.equal(it.failed(), 1)
  assert.deepEqual(
    (await it.grades()).filter((grade) => grade.endsWith(` ${epoch}`) && !grade.startsWith("subscription-ack")),
    [],
  )
})

async function openProbed() {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await openRotatingServer())
  const scratch = stack.use(await makeScratch("probe"))
  const { trustDomain } = server.pipeline.trust.record()
  const bundleFile = scratch.path("roots.pem")
  await writeFile(bundleFile, server.roots)
  const tokenFile = scratch.path("token")
  await writeFile(tokenFile, server.setup.token())
  let failed = 0
  const endpoint = { host: "127.0.0.1", port: server.port, trustDomain, knownBy: "spiffe-id" } as const
  const settings = {
    endpoint,
    bootstrap: { kind: "bundle-file", file: bundleFile },
    tokenFile,
    timeout: 10_000,
  } as const
  const moved = stack.move()
  return {
    server,
    rotation: server.rotation,
    trustDomain,
    bundleFile,
    probe: trustProbeName(trustDomain),
    failed: () => failed,
    roots: server.bundle,
    open: () =>
      openIdentityClient(
        { ...settings, agent: { name: "a", version: "1" } },
        { clock: systemClock, log: quietLog, probeFailed: () => void failed++ },
      ),
    /** Both roots are in the bundle from when this resolves, and the new one can be probed. */
    publish: () => server.publish(),
    grades: async () => (await server.evidence()).consumers.map(({ grade, epoch }) => `${grade} ${epoch}`),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

async function issue(client: IdentityAuthority, spiffeId: string, bundleEpoch: number): Promise<void> {
  const key = await processKeys.makeWorkloadKey("ec-p256")
  const [outcome] = await client.issueX509([{ spiffeId: parseSpiffeId(spiffeId), key, bundleEpoch }], NEVER)
  assert.equal(outcome?.kind, "issued")
}

async function adopt(subscription: Subscription): Promise<void> {
  for await (const update of subscription.updates) {
    if (update.kind !== "snapshot") continue
    subscription.acknowledge(update.snapshot.epoch, undefined)
    return
  }
}
