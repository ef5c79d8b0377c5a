import { type AdminClient, openAdminClient } from "../../src/adapters/admin-client/open-admin-client.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import type { Subscribers } from "../../src/app/deliver/consumers.ts"
import type { FederatedFacts } from "../../src/app/federate/federated-trust.ts"
import { type AdminApi, openAdmin } from "../../src/main/server/admin.ts"
import { openEvidence } from "../../src/main/server/evidence.ts"
import { openRotations } from "../../src/main/server/rotation.ts"
import { openServingTls } from "../../src/main/server/serving-certificate.ts"
import { openTokens } from "../../src/main/server/token-listener.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import { askRaw, type RawAnswer, type RawOrder } from "./ask-raw.ts"
import { openPipelineUnderTest, type PipelineOptions, type PipelineUnderTest } from "./server-under-test.ts"

/** The admin API on its socket, over a real pipeline in this process. */
export interface AdminUnderTest extends PipelineUnderTest {
  readonly admin: AdminApi
  readonly subscribers: Subscribers
  readonly client: AdminClient
  /** A request as it is written here, with nothing added. */
  raw(order: RawOrder): Promise<RawAnswer>
}

export interface AdminOptions extends PipelineOptions {
  /** Default: none. */
  readonly federation?: () => readonly FederatedFacts[]
}

export async function openAdminUnderTest(options: AdminOptions = {}): Promise<AdminUnderTest> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await openPipelineUnderTest(options))
  const { subscribers } = server.pipeline
  const random = makeSystemRandom()
  const { pipeline, state, live, clock, log } = server
  const evidence = openEvidence(pipeline, state, clock, () => live().config)
  const { trust, issuing, ephemeral, serialPrefix } = pipeline
  const plan = { ttl: 3600, backdate: 10, serialPrefix }
  const servingDeps = { trust, issuing, ephemeral, signIntent: pipeline.signIntent, clock, random, plan }
  const limits = { headerBytes: 16_384, streamsPerConnection: 100 }
  const serving = await openServingTls(live().config.serving, servingDeps, limits, log)
  const events = makeServerEvents(log, server.metrics)
  const tokens = await openTokens({ pipeline, state, live, clock, random, events, log, serving })
  if (tokens !== undefined) stack.use(tokens)
  const rotations = openRotations({ pipeline, state, serving, live, evidence, clock, random, log })
  const admin = stack.use(
    await openAdmin({
      ...server,
      subscribers,
      rotations,
      evidence,
      ready: () => true,
      federation: options.federation ?? (() => []),
      random,
      serving,
      proveAccessToken: tokens?.proveAccessToken,
    }),
  )
  const moved = stack.move()
  return {
    ...server,
    admin,
    subscribers,
    client: openAdminClient({ kind: "socket", path: admin.socket }),
    raw: (order) => askRaw(admin.socket, order),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}
