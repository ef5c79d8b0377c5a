import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { openLiveMesh } from "../support/live-mesh.ts"
import { runGoSpiffe } from "../support/peers/go-spiffe.ts"
import { textOf } from "../support/peers/json-lines.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { RotationOperator } from "../support/rotation-mesh/rotation-operator.ts"
import { makeScratch } from "../support/scratch.ts"
import { headerOf } from "../support/token-server.ts"
import { until } from "../support/until.ts"

const JWT = { ttl: "10s", key_ttl: "1h", publish_ahead: "1s" }

describe("a rotation of JWT keys below go-spiffe", { skip: await skipWithout("go-spiffe") }, () => {
  test("[ROT-61][ROT-53] one workload's tokens are good at another in every phase, and then an emergency ends them", async () => {
    await using folder = await makeScratch("jwt-root")
    await using mesh = await openLiveMesh(folder.directory, { svidTtl: 8, issuingTtl: 3600, rotationSkew: 1, jwt: JWT })
    const [web, db] = [await mesh.startAgent("web"), await mesh.startAgent("db")]
    const operator = new RotationOperator(mesh.adminSocket, "jwt")
    const phaseIs = (...wanted: readonly string[]) =>
      until(wanted.join(" or "), async () => wanted.includes((await operator.status()).phase), PATIENCE)
    for (const agent of [web, db]) {
      const isReady = async () => (await runGoSpiffe("jwt", agent, ["-audience", "db"])).code === 0
      await until("an agent with an SVID", isReady, PATIENCE)
    }
    const before = await fetchToken(web)
    await accept(db, before)
    await operator.start(false)
    await phaseIs("keyed")
    await operator.advance()
    const announced = await fetchToken(web)
    assert.equal(kidOf(announced), kidOf(before), "it is published, and signs nothing")
    await accept(db, announced)
    await phaseIs("published")
    await operator.resume()
    await phaseIs("draining")
    const last = await fetchToken(web)
    await accept(db, last)
    let fresh = last
    const isFresh = async () => {
      fresh = await fetchToken(web)
      return kidOf(fresh) !== kidOf(before)
    }
    await until("a token of the new key", isFresh, PATIENCE)
    await accept(db, fresh)
    await accept(db, await fetchToken(web))
    await phaseIs("stable")
    await accept(db, await fetchToken(web))
    assert.equal(await keysAt(db), 1, "the old key is gone")
    await operator.emergency("found out")
    const stolen = kidOf(fresh)
    await until("another key", async () => kidOf(await fetchToken(web)) !== stolen, PATIENCE)
    await until("the refusal", async () => (await validate(db, fresh)).code !== 0, PATIENCE)
    await accept(db, await fetchToken(web))
  })
})

async function fetchToken(socket: string): Promise<string> {
  const { code, events, error } = await runGoSpiffe("jwt", socket, ["-audience", "db"])
  assert.equal(code, 0, error)
  return textOf(events[0], "token")
}

function validate(socket: string, token: string) {
  return runGoSpiffe("validate", socket, ["-audience", "db", "-token", token])
}

/** By go-spiffe with the bundle of the agent, and by the agent. */
async function accept(socket: string, token: string): Promise<void> {
  const { code, error } = await validate(socket, token)
  assert.equal(code, 0, error)
}

async function keysAt(socket: string): Promise<unknown> {
  const { events } = await runGoSpiffe("bundles", socket)
  return Object(events[0]?.["jwt"])["example.org"]
}

function kidOf(token: string): unknown {
  return headerOf(token)["kid"]
}

/** Those who cannot acknowledge are waited for until their SVID of 8 s has expired. */
const PATIENCE = 60_000
