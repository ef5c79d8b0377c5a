import { type ClientDuplexStream, credentials, type ServiceError } from "@grpc/grpc-js"
import { Secret } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import { DiscoveryRequest, type DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { until } from "./until.ts"

type DiscoveryPart = Parameters<typeof DiscoveryRequest.fromPartial>[0]

/** A StreamSecrets client that acknowledges only when it is told to. */
export class SdsClient implements Disposable {
  readonly client: SecretDiscoveryServiceClient
  readonly responses: DiscoveryResponse[] = []
  /** How the stream ended. */
  status: Pick<ServiceError, "code" | "details"> | undefined
  readonly #stream: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>

  constructor(address: string) {
    this.client = new SecretDiscoveryServiceClient(address, credentials.createInsecure())
    this.#stream = this.client.streamSecrets()
    this.#stream.on("data", (response: DiscoveryResponse) => this.responses.push(response))
    this.#stream.on("error", () => undefined)
    this.#stream.on("status", (status: ServiceError) => {
      this.status = status
    })
  }

  ask(names: readonly string[], more: DiscoveryPart = {}): void {
    this.#stream.write(DiscoveryRequest.fromPartial({ resourceNames: [...names], ...more }))
  }

  /** Acknowledge the last response. */
  acknowledge(names: readonly string[]): void {
    const last = this.responses.at(-1)
    this.ask(names, { responseNonce: last?.nonce ?? "", versionInfo: last?.versionInfo ?? "" })
  }

  /** Wait for the response of this number, from 1. */
  async response(number: number): Promise<DiscoveryResponse> {
    await until(`response ${number}`, () => this.responses.length >= number)
    const found = this.responses[number - 1]
    if (found === undefined) throw new Error(`no response ${number}`)
    return found
  }

  /** Wait for the end of the stream: its gRPC status code. */
  async ended(): Promise<number | undefined> {
    await until("the end of the stream", () => this.status !== undefined)
    return this.status?.code
  }

  [Symbol.dispose](): void {
    this.#stream.cancel()
    this.client.close()
  }
}

/** The secrets of a response. */
export function secretsOf(response: DiscoveryResponse): readonly Secret[] {
  return response.resources.map(({ value }) => Secret.decode(value))
}
