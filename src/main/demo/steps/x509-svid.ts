import { systemClock } from "../../../adapters/system/clock.ts"
import type { DemoAgent } from "../demo-agent.ts"
import { requireIdentity, verifyPeer } from "../peer-identity.ts"
import type { Step } from "../step.ts"
import { idOf } from "../world.ts"

/** Two pods, two tokens, two identities. */
export const x509Svid: Step = {
  name: "x509-svid",
  shows: "each workload gets an X.509-SVID for its own pod's token",
  async run(world) {
    const { initMillis, startMillis } = await world.server()
    const [web, api] = await Promise.all([world.agent("web"), world.agent("api")])
    return [
      `assay init took ${initMillis.toFixed(0)} ms, assay server listened ${startMillis.toFixed(0)} ms after its start`,
      ...factsOf(web),
      ...factsOf(api),
    ]
  },
}

function factsOf({ pod, workload, firstSvid }: DemoAgent): readonly string[] {
  const { svid, leaf } = workload.current()
  const now = systemClock.now()
  requireIdentity(verifyPeer(svid.chain, svid, now), idOf(pod.serviceAccount))
  const { fromStart, fromListening } = firstSvid
  return [
    `token of system:serviceaccount:${pod.namespace}:${pod.serviceAccount}, pod ${pod.name} -> ${svid.spiffeId}`,
    `held ${fromListening.toFixed(0)} ms after its agent listened, ${fromStart.toFixed(0)} ms after that process was started with the token, for another ${leaf.notAfter - now} s`,
  ]
}
