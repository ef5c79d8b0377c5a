import { dialMtls } from "../mtls-client.ts"
import type { Step } from "../step.ts"
import { idOf } from "../world.ts"

/** Both sides show an SVID, verify the other's chain, and compare its ID. */
export const mtlsAccepted: Step = {
  name: "mtls-accepted",
  shows: "web calls api over mutual TLS, each knowing the other by its SPIFFE ID",
  async run(world, signal) {
    const { workload } = await world.agent("web")
    const { port } = await world.service()
    using connection = await dialMtls(port, { identity: workload, expected: idOf("api") }, signal)
    const asked = performance.now()
    const answer = await connection.ask("hello", signal)
    const answered = performance.now()
    if (answer !== `ok ${idOf("web")} ${connection.own.leaf.serial} hello`) {
      throw new Error(`api answered: ${answer}`)
    }
    return [
      `${connection.protocol} handshake in ${connection.handshakeMillis.toFixed(1)} ms, first answer ${(answered - asked).toFixed(1)} ms later`,
      `web saw ${connection.peer.spiffeId}; api saw ${idOf("web")}`,
    ]
  },
}
