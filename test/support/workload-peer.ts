import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type ClientReadableStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import type { IdentitySource } from "../../src/app/deliver/identity-source.ts"
import { makeValidateJwtSvid } from "../../src/app/deliver/validate-jwt-svid.ts"
import { SpiffeWorkloadAPIClient, SpiffeWorkloadAPIService } from "../../src/gen/spiffe/workload.ts"
import { listenGrpc } from "../../src/transports/grpc/listen.ts"
import { makeWorkloadService } from "../../src/transports/workload/workload-service.ts"
import { quietLog } from "./quiet-log.ts"

/** A Workload API on a real unix socket, and a real client of it. */
export interface WorkloadPeer extends AsyncDisposable {
  readonly client: SpiffeWorkloadAPIClient
  /** `unix:///…` */
  readonly address: string
}

/** The wall clock of the peer's validator. */
export const PEER_NOW = 1_800_000_000
export const PEER_STREAMS = 4

export async function openWorkloadPeer(source: IdentitySource): Promise<WorkloadPeer> {
  const directory = await mkdtemp(join(tmpdir(), "assay-workload-"))
  const implementation = makeWorkloadService({
    sourceFor: () => source,
    validateJwtSvid: makeValidateJwtSvid({ verifier: makeJwsVerifier(), now: () => PEER_NOW, skew: 0 }),
    log: quietLog,
    limits: { streams: PEER_STREAMS, unary: 10_000 },
    closing: new AbortController().signal,
  })
  const address = `unix://${join(directory, "api.sock")}`
  const limits = { messageBytes: 65_536, headerBytes: 16_384, streamsPerConnection: 100, connectionAge: undefined }
  const services = [{ definition: SpiffeWorkloadAPIService, implementation }]
  const listener = await listenGrpc(address, undefined, services, limits, 100)
  const client = new SpiffeWorkloadAPIClient(address, credentials.createInsecure())
  return {
    client,
    address,
    [Symbol.asyncDispose]: async () => {
      client.close()
      await listener[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The security header, as every client sends it. */
export function secured(): Metadata {
  const metadata = new Metadata()
  metadata.set("workload.spiffe.io", "true")
  return metadata
}

/** A unary call as a promise. */
export function unary<Reply>(
  invoke: (callback: (error: ServiceError | null, reply: Reply) => void) => unknown,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    invoke((error, reply) => (error === null ? resolve(reply) : reject(error)))
  })
}

/** Reads a stream message by message. Cancels it when disposed. */
export class StreamReader<Message> implements Disposable {
  readonly #stream: ClientReadableStream<Message>
  readonly #messages: AsyncIterator<Message>

  constructor(stream: ClientReadableStream<Message>) {
    this.#stream = stream
    stream.on("error", () => {})
    this.#messages = stream[Symbol.asyncIterator]()
  }

  /** The next message; rejects with the status when the stream failed. */
  async next(): Promise<Message> {
    const { done, value } = await this.#messages.next()
    if (done === true) throw new Error("the stream ended")
    return value
  }

  [Symbol.dispose](): void {
    this.#stream.cancel()
  }
}
