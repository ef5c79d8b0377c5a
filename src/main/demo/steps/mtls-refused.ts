import { toIdentityError } from "../../../core/errors.ts"
import { dialMtls } from "../mtls-client.ts"
import { listenMtls } from "../mtls-server.ts"
import { isIdentityRefusal } from "../peer-identity.ts"
import type { Step } from "../step.ts"
import type { Workload } from "../workload.ts"
import { idOf, type World } from "../world.ts"

/** A third pod, with a good SVID of the same trust domain: TLS works, and the identity is refused, in both directions. */
export const mtlsRefused: Step = {
  name: "mtls-refused",
  shows: "billing, with an SVID that is as good, is refused for who it is",
  async run(world, signal) {
    await using billing = await world.startAgent("billing")
    return [
      `billing calls api: ${await refusalByService(world, billing.workload, signal)}`,
      `web calls billing in api's place: ${await refusalByClient(world, billing.workload, signal)}`,
    ]
  },
}

async function refusalByService(world: World, workload: Workload, signal: AbortSignal): Promise<string> {
  const { port } = await world.service()
  using connection = await dialMtls(port, { identity: workload, expected: idOf("api") }, signal)
  const answer = await connection.ask("hello", signal)
  const wanted = `refused: the peer is ${idOf("billing")}, and only ${idOf("web")} is allowed`
  if (answer !== wanted) throw new Error(`api answered billing: ${answer}`)
  return `${connection.protocol} handshake complete in ${connection.handshakeMillis.toFixed(1)} ms, then ${answer}`
}

async function refusalByClient(world: World, impostor: Workload, signal: AbortSignal): Promise<string> {
  const { workload } = await world.agent("web")
  await using service = await listenMtls(impostor, idOf("web"))
  const begun = performance.now()
  try {
    using _connection = await dialMtls(service.port, { identity: workload, expected: idOf("api") }, signal)
  } catch (thrown) {
    // A broken handshake would be a refusal too, but would not show what this is to show.
    if (!isIdentityRefusal(thrown)) throw thrown
    return `chain verified, then refused after ${(performance.now() - begun).toFixed(1)} ms: ${toIdentityError(thrown).message}`
  }
  throw new Error("web took billing for api")
}
