import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { describe, test } from "node:test"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { keepConsumers } from "../../src/app/deliver/keep-consumers.ts"
import type { ConsumerRow } from "../../src/core/authority/evidence.ts"
import { runAgent } from "../../src/main/agent.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { openEvidence } from "../../src/main/server/evidence.ts"
import { envoyMeshConfig, type SdsPeer } from "../support/envoy-config.ts"
import { type Envoy, startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { openServerUnderTest, type ServerUnderTest } from "../support/server-under-test.ts"
import { until } from "../support/until.ts"

const CART = "spiffe://prod.example/ns/shop/sa/cart"

describe("real Envoys and what the server knows of them", { skip: await skipWithout("envoy") }, () => {
  test("[EV-1][EVD-05] what Envoys take and refuse, behind an agent and directly, shows at the server, until it starts anew", async () => {
    await using folder = await makeScratch("evidence")
    const setup = await makeServerSetup(folder.directory)
    const server = await openServerUnderTest({ setup })
    const stop = new AbortController()
    const socket = folder.path("agent.sock")
    const { agent, ready } = startAgent(server, folder, socket, stop.signal)
    await ready
    const remote = await remotePeer(server, folder, "web")
    const envoys = await Promise.all([
      startMesh("behind", { kind: "unix", path: socket }, "ROOTCA", "live"),
      startMesh("remote", remote, "ROOTCA", "live"),
      startMesh("refusing", await remotePeer(server, folder, "other"), "default", "admin"),
    ])
    try {
      const evidence = openEvidence(server.pipeline, server.state, systemClock, () => server.live().config)
      const row = async (name: string): Promise<ConsumerRow | undefined> =>
        (await evidence()).consumers.find(({ id }) => id.includes(`/sds/${name} `))
      for (let change = 0; change < 2; change++) {
        await server.pipeline.trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
        const { epoch } = server.pipeline.trust.snapshot()
        for (const name of ["behind", "remote"]) {
          await until(`${name} at ${epoch}`, async () => (await row(name))?.epoch === epoch)
          const found = await row(name)
          assert.deepEqual([found?.grade, found?.live, found?.nackReason], ["sds-ack", true, undefined])
          assert.equal(found?.namespace, "shop")
        }
      }
      await until("the refusal", async () => (await row("refusing"))?.nackReason !== undefined)
      const refusing = await row("refusing")
      assert.deepEqual([refusing?.epoch, refusing?.pod], [0, "other-pod"])
      assert.match(refusing?.nackReason ?? "", /trusted CA/)
      assert.equal((await evidence()).consumers.find(({ kind }) => kind === "agent")?.grade, "subscription-ack")
      const { consumerLog } = server.state.store
      const kept = keepConsumers(
        server.pipeline.consumers,
        { clock: systemClock, log: quietLog, consumers: consumerLog },
        stop.signal,
      )
      await until("all are written down", async () => (await consumerLog.readAfter("", 10)).length === 4)
      stop.abort()
      await kept
    } finally {
      await Promise.all(envoys.map((envoy) => envoy[Symbol.asyncDispose]()))
      stop.abort()
      await agent
      await server[Symbol.asyncDispose]()
    }
    await using again = await openServerUnderTest({ setup, init: false })
    const rows = (await openEvidence(again.pipeline, again.state, systemClock, () => server.live().config)()).consumers
    const expected = ["lease", false, 0]
    for (const name of ["behind", "remote", "refusing"]) {
      const row = rows.find(({ id }) => id.includes(`/sds/${name} `))
      assert.deepEqual([row?.grade, row?.live, row?.epoch], expected)
      assert.equal(row?.nackReason !== undefined, name === "refusing")
    }
  })
})

function startAgent(server: ServerUnderTest, folder: Scratch, socket: string, signal: AbortSignal) {
  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const agent = (async () => {
    const [token, roots] = [folder.path("agent.token"), folder.path("roots.pem")]
    await Promise.all([writeFile(token, server.setup.token({ serviceAccount: "web" })), writeFile(roots, server.roots)])
    const text = JSON.stringify({
      trust_domain: "prod.example",
      server: { address: server.address },
      bootstrap: { bundle_file: roots },
      token_file: token,
      socket: { path: socket },
      drain: { timeout: "1s" },
    })
    await runAgent(parseAgentConfig(text, "agent.yaml"), quietLog, signal, resolve)
  })()
  return { agent, ready: Promise.race([ready, agent]) }
}

async function remotePeer(server: ServerUnderTest, folder: Scratch, serviceAccount: string): Promise<SdsPeer> {
  const [tokenFile, rootsFile] = [folder.path(`${serviceAccount}.token`), folder.path(`${serviceAccount}.pem`)]
  const pod = server.setup.cluster.createPod("shop", serviceAccount, `${serviceAccount}-pod`)
  await writeFile(tokenFile, server.setup.token({ pod }))
  await writeFile(rootsFile, server.roots)
  return { kind: "remote", target: `dns:///localhost:${server.port}`, rootsFile, tokenFile }
}

function startMesh(id: string, sds: SdsPeer, trust: string, wanted: "live" | "admin"): Promise<Envoy> {
  const listener = { kind: "mtls", name: "in", certificate: "default", trust, accept: [CART] } as const
  return startEnvoy({ name: id, until: wanted, bootstrapYaml: envoyMeshConfig({ id, sds, listeners: [listener] }) })
}
