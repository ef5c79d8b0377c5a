import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeValidateJwtSvid } from "../../src/app/deliver/validate-jwt-svid.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { SpiffeWorkloadAPIService } from "../../src/gen/spiffe/workload.ts"
import { listenGrpc } from "../../src/transports/grpc/listen.ts"
import { makeWorkloadService } from "../../src/transports/workload/workload-service.ts"
import { FakeSource } from "./fake-source.ts"
import type { JwtKey } from "./jwt-key.ts"
import { meshView } from "./mesh.ts"
import { quietLog } from "./quiet-log.ts"
import { makeScratch } from "./scratch.ts"
import type { TestCa } from "./test-ca.ts"

/** A workload's identity served over the Workload API on a Unix socket, rotated when the test says so. */
export interface LiveWorkload extends AsyncDisposable {
  /** Path of the socket. */
  readonly socket: string
  readonly source: FakeSource
  /** A new key and leaf of `ca`, default the first one; `alsoTrusted` are in the bundle beside it. */
  readonly rotate: (ca?: TestCa, ...alsoTrusted: readonly TestCa[]) => void
}

/** Serve `spiffeId` from `ca`; JWT-SVIDs are signed with `jwtKey`, whose public half is in the bundle. Wall clock. */
export async function openLiveWorkload(spiffeId: string, ca: TestCa, jwtKey: JwtKey): Promise<LiveWorkload> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("live"))
  const socket = folder.path("api.sock")
  const source = new FakeSource()
  source.answerJwt = (audience) => [jwtSvid(spiffeId, jwtKey, audience)]
  const now = () => Math.floor(Date.now() / 1000)
  const implementation = makeWorkloadService({
    sourceFor: () => source,
    validateJwtSvid: makeValidateJwtSvid({ verifier: makeJwsVerifier(), now, skew: 0 }),
    log: quietLog,
    limits: { streams: 100, unary: 100 },
    closing: new AbortController().signal,
  })
  const limits = { messageBytes: 65_536, headerBytes: 16_384, streamsPerConnection: 100, connectionAge: undefined }
  const services = [{ definition: SpiffeWorkloadAPIService, implementation }]
  stack.use(await listenGrpc(`unix://${socket}`, undefined, services, limits, 100))
  let epoch = 0
  const rotate: LiveWorkload["rotate"] = (issuer = ca, ...alsoTrusted) => {
    const view = meshView(++epoch, spiffeId, issuer, ...alsoTrusted)
    const own = { ...view.snapshot.own, jwtAuthorities: [jwtKey.authority], sequence: epoch }
    source.ready({ ...view, snapshot: { ...view.snapshot, own } })
  }
  rotate()
  const moved = stack.move()
  return { socket, source, rotate, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

function jwtSvid(spiffeId: string, key: JwtKey, audience: readonly string[]) {
  const issuedAt = Math.floor(Date.now() / 1000)
  const expiresAt = issuedAt + 300
  const token = key.token({ sub: spiffeId, aud: audience, iat: issuedAt, exp: expiresAt })
  return { spiffeId: parseSpiffeId(spiffeId), hint: "", token, expiresAt }
}
