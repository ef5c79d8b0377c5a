import { connect } from "node:tls"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import type { RotationEvidence } from "../../src/core/authority/evidence.ts"
import type { RotationPhase } from "../../src/core/authority/rotation-state.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { openEvidence } from "../../src/main/server/evidence.ts"
import { openRotations, type ServerRotation } from "../../src/main/server/rotation.ts"
import { openServerUnderTest, type PipelineOptions, type ServerUnderTest } from "./server-under-test.ts"
import { until } from "./until.ts"

export const ALICE = { actor: "alice", requestId: "q1" }

/** A server with its gRPC listener whose root rotates. */
export interface RotatingServer extends ServerUnderTest {
  readonly rotation: ServerRotation
  readonly evidence: () => Promise<RotationEvidence>
  /** Of the bundle, DER. */
  readonly bundle: () => readonly Uint8Array[]
  phase(): RotationPhase
  /** Begin a rotation by hand; resolves once the new root is in the bundle, and probed for. */
  publish(): Promise<void>
  /** After {@link RotatingServer.publish}: let the new root sign, once evidence allows. */
  activate(): Promise<void>
}

export async function openRotatingServer(options: PipelineOptions = {}): Promise<RotatingServer> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await openServerUnderTest(options))
  const { pipeline, state, live, clock, log, serving } = server
  const { trust } = pipeline
  const evidence = openEvidence(pipeline, state, clock, () => live().config)
  const common = { pipeline, state, serving, live, evidence, clock, random: makeSystemRandom(), log }
  const rotation = openRotations(common).x509
  const stop = new AbortController()
  const running = rotation.run(stop.signal)
  stack.defer(async () => {
    stop.abort()
    await running
  })
  const phase = () => trust.record().rotations.x509.phase
  const moved = stack.move()
  return {
    ...server,
    rotation,
    evidence,
    bundle: () => trust.snapshot().own.x509Authorities,
    phase,
    activate: async () => {
      await until("published", () => phase() === "published")
      await rotation.operate.advance(ALICE)
    },
    publish: async () => {
      await rotation.operate.start({ auto: false, canary: { namespaces: [], prefixes: [] } }, ALICE)
      await until("the key", () => phase() === "keyed")
      await rotation.operate.advance(ALICE)
      await until("the probe", () => serving.probe() !== undefined)
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

/** A handshake of one's own, verified by `root` alone. */
export function shake(
  { port }: Pick<ServerUnderTest, "port">,
  servername: string,
  root: Uint8Array,
): Promise<"trusted" | "untrusted" | "refused"> {
  const { promise, resolve } = Promise.withResolvers<"trusted" | "untrusted" | "refused">()
  const ca = encodePem("CERTIFICATE", root)
  const check = () => undefined // by chain alone
  const options = { host: "127.0.0.1", port, servername, ca, checkServerIdentity: check, rejectUnauthorized: false }
  const socket = connect({ ...options, ALPNProtocols: ["h2", "http/1.1"] })
  socket.once("secureConnect", () => {
    resolve(socket.authorized ? "trusted" : "untrusted")
    socket.destroy()
  })
  socket.once("error", () => resolve("refused"))
  return promise
}
