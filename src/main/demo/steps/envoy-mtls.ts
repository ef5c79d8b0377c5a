import { setTimeout as delay } from "node:timers/promises"
import type { Millis } from "../../../core/time.ts"
import { openRequestLane } from "../request-lane.ts"
import type { Step } from "../step.ts"
import { idOf } from "../world.ts"

/** The same between two Envoys, which know nothing but their agents' sockets. */
export const envoyMtls: Step = {
  name: "envoy-mtls",
  shows: "two Envoys get key, certificates and trust by SDS and keep calling each other across a rotation",
  async run(world, signal) {
    const begun = performance.now()
    const { inbound, outbound } = await world.envoys()
    const ready = performance.now()
    const serials = new Set<string>()
    await using lane = openRequestLane(async (stopped) => {
      serials.add(await serialSeen(`http://127.0.0.1:${outbound.port}/`, stopped))
    })
    const first = await inbound.stat(UPDATES, signal)
    while (lane.failed === 0 && (serials.size < 2 || (await inbound.stat(UPDATES, signal)) <= first)) {
      await delay(POLL_MILLIS, undefined, { signal })
    }
    if (lane.failed > 0) throw new Error(`${lane.failed} requests failed`, { cause: lane.firstFailure })
    return [
      `both ready ${(ready - begun).toFixed(0)} ms after the first was started`,
      `web's Envoy -> api's Envoy: ${lane.succeeded} requests, each on a new connection, ${lane.failed} failed`,
      `api's Envoy saw ${idOf("web")} with ${serials.size} certificates, and got a new one itself`,
    ]
  },
}

/** One request through both. @returns the serial number of web's certificate, as api's Envoy saw it */
async function serialSeen(url: string, signal: AbortSignal): Promise<string> {
  const reply = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MILLIS)]) })
  const body = await reply.text()
  const [id, serial] = body.split(" ")
  if (reply.status !== 200 || id !== idOf("web") || serial === undefined) throw new Error(`${reply.status} ${body}`)
  return serial
}

const UPDATES = "sds.default.update_success"
const POLL_MILLIS: Millis = 50
const REQUEST_MILLIS: Millis = 5_000
