import { dialMtls, type MtlsConnection } from "../mtls-client.ts"
import { openRequestLane, type RequestLane } from "../request-lane.ts"
import type { Step } from "../step.ts"
import type { HeldIdentity, Workload } from "../workload.ts"
import { idOf } from "../world.ts"

/** New keys and certificates come over the open streams; the connections of before stay, those after show the new ones. */
export const leafRotation: Step = {
  name: "leaf-rotation",
  shows: "both SVIDs rotate while a connection between the workloads is in use",
  async run(world, signal) {
    const [web, api] = await Promise.all([world.agent("web"), world.agent("api")])
    const { port } = await world.service()
    using old = await dialMtls(port, { identity: web.workload, expected: idOf("api") }, signal)
    const before = { web: web.workload.current(), api: api.workload.current() }
    const begun = performance.now()
    await using lane = openRequestLane((stopped) => askOnce(old, stopped))
    const [webAfter, apiAfter] = await Promise.all([
      rotated(web.workload, before.web, signal),
      rotated(api.workload, before.api, signal),
    ])
    const until = lane.succeeded
    await inUse(port, { web: web.workload, api: api.workload, before }, signal)
    await moreRequests(lane, until + REQUESTS_AFTER, signal)
    if (lane.failed > 0) throw new Error(`${lane.failed} requests failed`, { cause: lane.firstFailure })
    return [
      `pushed on the streams of the start, with new keys: web's SVID number ${webAfter.update} after ${secondsSince(begun, webAfter)} s, api's number ${apiAfter.update} after ${secondsSince(begun, apiAfter)} s`,
      `on the connection opened before: ${lane.succeeded} requests, ${lane.failed} failed, ${lane.succeeded - until} of them after both rotations`,
      "a new connection shows both new certificates",
    ]
  },
}

async function askOnce(connection: MtlsConnection, signal: AbortSignal): Promise<void> {
  const answer = await connection.ask("still there?", signal)
  if (!answer.startsWith(`ok ${idOf("web")} `)) throw new Error(`api answered: ${answer}`)
}

/** @throws Error when the stream ends, or the key of before is used again */
async function rotated(workload: Workload, before: HeldIdentity, signal: AbortSignal): Promise<HeldIdentity> {
  const after = await workload.reached(before.update + 1, signal)
  if (after.leaf.serial === before.leaf.serial) throw new Error("the stream brought the same certificate again")
  if (Buffer.compare(after.leaf.spki, before.leaf.spki) === 0) throw new Error("the key was not renewed")
  return after
}

/** @throws Error when a new connection does not show what the workloads hold by now */
async function inUse(
  port: number,
  { web, api, before }: { web: Workload; api: Workload; before: { web: HeldIdentity; api: HeldIdentity } },
  signal: AbortSignal,
): Promise<void> {
  // Another rotation may come while the connection is made, so both sides of that moment will do.
  const sooner = api.current()
  using connection = await dialMtls(port, { identity: web, expected: idOf("api") }, signal)
  const held = [sooner, api.current()].map(({ leaf }) => leaf.serial)
  const { own, peer } = connection
  if (!held.includes(peer.serial) || peer.serial === before.api.leaf.serial) {
    throw new Error("api shows an old certificate")
  }
  const answer = await connection.ask("and now?", signal)
  if (own.update <= before.web.update || answer !== `ok ${idOf("web")} ${own.leaf.serial} and now?`) {
    throw new Error(`web shows an old certificate; api answered: ${answer}`)
  }
}

async function moreRequests(lane: RequestLane, wanted: number, signal: AbortSignal): Promise<void> {
  while (lane.succeeded < wanted && lane.failed === 0) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS))
  }
}

function secondsSince(begun: number, { at }: HeldIdentity): string {
  return ((at - begun) / 1000).toFixed(1)
}

const REQUESTS_AFTER = 20
const POLL_MILLIS = 5
