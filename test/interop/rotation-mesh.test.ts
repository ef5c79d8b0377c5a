import assert from "node:assert/strict"
import { describe, type TestContext, test } from "node:test"
import type { Millis, Seconds } from "../../src/core/time.ts"
import { skipWithout } from "../support/peers/peer.ts"
import type { EnvoyMember } from "../support/rotation-mesh/envoy-member.ts"
import { openRotationMesh, type RotationMesh } from "../support/rotation-mesh/rotation-mesh.ts"
import { isLate, RotationStory } from "../support/rotation-mesh/rotation-story.ts"
import { isAccepted, stealSvid } from "../support/rotation-mesh/stolen-svid.ts"
import type { FailedCall } from "../support/rotation-mesh/traffic.ts"
import type { TcpProxy } from "../support/tcp-proxy.ts"
import { until } from "../support/until.ts"

describe("root rotations in a mesh of four Envoys and two go-spiffe clients", {
  skip: await skipWithout("envoy", "go-spiffe"),
}, () => {
  test("[ROT-33][ROT-53][ROT-71] no handshake of live peers fails in ten rotations with a slow one, one cut off and one that refuses, and all connections to the server lost in each", async (t) => {
    await using mesh = await openRotationMesh(SVID_TTL)
    await until("the first calls", () => mesh.traffic.succeeded > 100, 30_000)
    mesh.feed.delay(SLOW)
    const absent = await tenRotations(t, mesh)
    const before = mesh.traffic.between("cart", "stock")
    await until("cart calls again", () => mesh.traffic.between("cart", "stock") > before + 3)
    assert.deepEqual(failuresBut(mesh, absent), [])
    t.diagnostic(`${await mesh.succeeded()} handshakes, none failed between live peers`)
    for (const { name, envoy } of [mesh.pay, mesh.stock]) {
      const streams = await Promise.all(SECRETS.map((secret) => envoy.stat(`sds.${secret}.grpc.sds.streams_total`)))
      assert.ok(Math.min(...streams) > ROTATIONS, `${name} began streams: ${streams.join()}`)
      t.diagnostic(`${name}, which knows the very first root alone, began ${streams.join(" and ")} streams`)
    }
  })

  test("the old way: when the new root signs before everybody trusts it, handshakes of live peers fail", async (t) => {
    await using mesh = await openRotationMesh(LONG_TTL)
    mesh.uplink.cut()
    await mesh.operator.start(false)
    const story = new RotationStory(mesh.operator)
    await story.until("the new root is made", ({ phase }) => phase === "keyed")
    await mesh.operator.advance()
    await mesh.operator.waiveAll(OLD_WAY)
    await story.until("the bundle counts as published", ({ phase }) => phase === "published")
    await mesh.operator.advanceRegardless(OLD_WAY)
    await until("failed handshakes", () => mesh.failures().length >= 20, 30_000)
    const failed = mesh.failures()
    assert.ok(Date.now() < (await mesh.cart.notAfter()) * 1000, "cart is alive")
    assert.ok(failed.every(({ from, to }) => from === "cart" || to === "cart"))
    t.diagnostic(
      `${failed.length} failed handshakes with cart, which lives and was not waited for: ${failed[0]?.problem}`,
    )
  })

  test("[ROT-38] once the root is declared stolen, every Envoy soon refuses what it signed, and they find each other again", async (t) => {
    await using mesh = await openRotationMesh(LONG_TTL)
    const stolen = stealSvid(await mesh.materialOfLedger())
    const accepting = async () => {
      const answers = await Promise.all(mesh.envoys.map(({ port }) => isAccepted(stolen, port)))
      return answers.filter(Boolean).length
    }
    assert.equal(await accepting(), 4)
    const begun = Date.now()
    await mesh.operator.emergency("found on a laptop")
    await until("everybody refuses it", async () => (await accepting()) === 0, 30_000)
    t.diagnostic(`no Envoy accepts it after ${secondsBetween(begun, Date.now())} s`)
    const failed = await untilCalm(mesh)
    const last = Math.max(...failed.map(({ ended }) => ended))
    t.diagnostic(
      `${failed.length} handshakes failed, the last one ${secondsBetween(begun, last)} s after the declaration`,
    )
  })
})

/** When `cart` was not alive. */
interface Absence {
  readonly from: Millis
  readonly to: Millis
}

async function tenRotations(t: TestContext, mesh: RotationMesh): Promise<Absence> {
  await round(t, mesh, "1", rotate)
  await round(t, mesh, "2, cart cut off for a moment", rotateAcrossCut)
  await round(t, mesh, "3", rotate)
  await round(t, mesh, "4, stock refuses", rotateAcrossRefusal)
  const from = await round(t, mesh, "5, cart cut off until it expires", rotateAcrossExpiry)
  // Before the next rotation makes the roots that it was just handed old again: the operator of this test hands them out at the end.
  await until("cart is back", async () => (await mesh.cart.notAfter()) * 1000 > Date.now(), RETURN)
  const to = Date.now()
  for (let index = 6; index <= ROTATIONS; index++) await round(t, mesh, String(index), rotate)
  return { from, to }
}

async function round<Result>(
  t: TestContext,
  mesh: RotationMesh,
  title: string,
  play: (mesh: RotationMesh, story: RotationStory) => Promise<Result>,
): Promise<Result> {
  const story = new RotationStory(mesh.operator)
  const [result] = await Promise.all([play(mesh, story), loseConnections(mesh)])
  await mesh.handOutRoots()
  t.diagnostic(`rotation ${title}: ${story.describe()}`)
  return result
}

/** Once the new root signs, the two Envoys that read the very first root when they started lose their connections to the server. */
async function loseConnections(mesh: RotationMesh): Promise<void> {
  const signs = async () => SIGNED_BY_NEXT.includes((await mesh.operator.status()).phase)
  await until("the new root signs", signs, 2 * RETURN, LOOK)
  await Promise.all([reconnect(mesh.pay, mesh.feed), reconnect(mesh.stock, mesh.line)])
}

/** Each subscription has a connection of its own, and one handshake is enough. */
async function reconnect(member: EnvoyMember, path: TcpProxy): Promise<void> {
  await member.renewed() // so that what it has does not expire on the way
  const before = path.accepted
  const lost = path.shake()
  await member.renewed()
  assert.ok(lost >= SECRETS.length, `${member.name} had ${lost} connections`)
  await until(`${member.name} to connect again`, () => path.accepted >= before + SECRETS.length, RETURN)
  assert.equal(path.accepted - before, SECRETS.length, `${member.name} made as many connections`)
}

/** Whoever is slow is waited for, and it goes on by itself. */
async function rotate({ operator }: RotationMesh, story: RotationStory): Promise<void> {
  await operator.start(true)
  await story.until("the end", ({ phase }) => phase === "stable")
  assert.ok(story.reasonsFor("pay").has("not-acknowledged"), story.describe())
}

async function rotateAcrossCut(mesh: RotationMesh, story: RotationStory): Promise<void> {
  await mesh.cart.renewed()
  mesh.uplink.cut()
  await mesh.operator.start(true)
  await story.until("cart is missed", (status) => isLate(status, "cart", "disconnected"))
  mesh.uplink.mend()
  await story.until("the end", ({ phase }) => phase === "stable")
}

/** The operator repairs what refuses, and makes it automatic again. */
async function rotateAcrossRefusal({ pay, stock, feed, operator }: RotationMesh, story: RotationStory): Promise<void> {
  await pay.renewed()
  feed.hold() // so that it cannot be over before the refusal
  await operator.start(true)
  await story.until(
    "stock has it",
    (status) => status.phase === "publishing" && !isLate(status, "stock", "not-acknowledged"),
  )
  await stock.misconfigure()
  const status = await story.until(
    "the refusal",
    (status) => status.stopped !== undefined && isLate(status, "stock", "nack"),
  )
  assert.match(status.stopped ?? "", /refused by .*stock/)
  assert.deepEqual([status.phase, status.auto], ["publishing", false])
  assert.ok(isLate(status, "pay", "not-acknowledged"))
  feed.release() // before what it has expires
  await stock.repair()
  await story.until("nobody refuses", (status) => !isLate(status, "stock", "nack"))
  await operator.resume()
  await story.until("the end", ({ phase }) => phase === "stable")
}

/** @returns when it expired, until when it was waited for; it stays away until the rotation is over */
async function rotateAcrossExpiry(mesh: RotationMesh, story: RotationStory): Promise<Millis> {
  await mesh.cart.renewed()
  mesh.uplink.cut()
  await mesh.operator.start(true)
  await story.until("cart is missed", (status) => isLate(status, "cart", "disconnected"))
  const expiry = (await mesh.cart.notAfter()) * 1000
  await story.until("the next phase", ({ phase }) => phase !== "publishing")
  assert.ok(Date.now() > expiry)
  await story.until("the end", ({ phase }) => phase === "stable")
  await mesh.handOutRoots() // for the agent, whose only root is not trusted any more
  mesh.uplink.mend()
  return expiry
}

/** @returns the calls that had failed when hundreds of others succeeded and no more failed */
async function untilCalm(mesh: RotationMesh): Promise<readonly FailedCall[]> {
  for (;;) {
    const failed = mesh.failures()
    const before = await mesh.succeeded()
    await until("calls that succeed", async () => (await mesh.succeeded()) > before + 300, 30_000)
    if (mesh.failures().length === failed.length) return failed
  }
}

function secondsBetween(from: Millis, to: Millis): string {
  return ((to - from) / 1000).toFixed(2)
}

function failuresBut(mesh: RotationMesh, { from, to }: Absence): readonly FailedCall[] {
  return mesh.failures().filter((call) => {
    const isHis = call.from === "cart" || call.to === "cart"
    return !(isHis && call.ended >= from && call.began <= to)
  })
}

const OLD_WAY = "nobody ever waited for acknowledgements"
const ROTATIONS = 10
const SIGNED_BY_NEXT = ["active", "draining", "drained", "retiring"]
const SECRETS = ["default", "ROOTCA"]
const SVID_TTL: Seconds = 10
const LOOK: Millis = 250
/** So that nothing expires on its way. */
const LONG_TTL: Seconds = 60
const SLOW: Millis = 800
/** An agent that was away comes back at longer and longer intervals. */
const RETURN: Millis = 180_000
