import { X509Certificate } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import { openAdminClient } from "../../../adapters/admin-client/open-admin-client.ts"
import type { Millis } from "../../../core/time.ts"
import { rotationStatus } from "../../../transports/admin/rotation-contracts.ts"
import { dialMtls } from "../mtls-client.ts"
import { openRequestLane } from "../request-lane.ts"
import type { Step } from "../step.ts"
import type { Workload } from "../workload.ts"
import { idOf } from "../world.ts"

/** The root itself is replaced in the middle of the day, by evidence, and nobody notices. */
export const rootRotation: Step = {
  name: "root-rotation",
  shows:
    "the root of the trust domain is replaced under live mTLS traffic, each step when the last consumer has proven to be ready",
  within: 60_000,
  async run(world, signal) {
    const [server, web] = await Promise.all([world.server(), world.agent("web")])
    const { port } = await world.service()
    const [before] = rootsOf(web.workload)
    const begun = performance.now()
    await using lane = openRequestLane(async (stopped) => {
      using connection = await dialMtls(port, { identity: web.workload, expected: idOf("api") }, stopped)
      const answer = await connection.ask("and now?", stopped)
      if (!answer.startsWith(`ok ${idOf("web")} `)) throw new Error(`api answered: ${answer}`)
    })
    const phases = await rotate(server.adminSocket, signal)
    const took = performance.now() - begun
    const after = await newRoot(web.workload, before, signal)
    await server.refreshBundle(signal)
    const until = lane.succeeded + REQUESTS_AFTER
    while (lane.succeeded < until && lane.failed === 0) await delay(POLL_MILLIS, undefined, { signal })
    if (lane.failed > 0) throw new Error(`${lane.failed} requests failed`, { cause: lane.firstFailure })
    return [
      `root ${short(before)} replaced by ${short(after)} in ${(took / 1000).toFixed(1)} s`,
      ...phases,
      `meanwhile web called api: ${lane.succeeded} requests, each on a new connection, ${lane.failed} failed`,
    ]
  },
}

/** Start it and watch it to its end. @returns for each phase how long it took, and for how many it waited */
async function rotate(socket: string, signal: AbortSignal): Promise<readonly string[]> {
  const admin = openAdminClient({ kind: "socket", path: socket })
  await admin.call({ method: "POST", path: "/rotation/start", input: { auto: true } }, signal)
  const seen = new Map<string, { since: Millis; until: Millis; late: Set<string> }>()
  for (;;) {
    const reply = await admin.call({ method: "GET", path: "/rotation", input: {} }, signal)
    const { phase, late, stopped } = rotationStatus.response.parse(reply)
    if (stopped !== undefined) throw new Error(`the rotation stopped in phase ${phase}: ${stopped}`)
    const now = performance.now()
    for (const past of [...seen.values()].slice(-1)) past.until = now
    if (phase === "stable") break
    const entry = seen.get(phase) ?? { since: now, until: now, late: new Set<string>() }
    for (const { reason } of late) entry.late.add(reason)
    seen.set(phase, entry)
    await delay(POLL_MILLIS, undefined, { signal })
  }
  return [...seen]
    .filter(([, { late }]) => late.size > 0)
    .map(
      ([phase, { since, until, late }]) =>
        `${phase}: ${((until - since) / 1000).toFixed(1)} s, waited for ${[...late].join(", ")}`,
    )
}

/** The bundle of a workload that has nothing left but a new root. */
async function newRoot(workload: Workload, before: string | undefined, signal: AbortSignal): Promise<string> {
  for (;;) {
    const [after, ...more] = rootsOf(workload)
    if (after !== undefined && after !== before && more.length === 0) return after
    await workload.reached(workload.current().update + 1, signal)
  }
}

function rootsOf(workload: Workload): readonly string[] {
  return workload.current().svid.bundle.map((der) => new X509Certificate(der).fingerprint256)
}

function short(fingerprint: string | undefined): string {
  return (fingerprint ?? "").replaceAll(":", "").slice(0, 12).toLowerCase()
}

const REQUESTS_AFTER = 20
const POLL_MILLIS: Millis = 100
