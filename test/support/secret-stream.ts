import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js"
import { Secret } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import { DiscoveryRequest, type DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import type { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { bearer } from "./identity-peer.ts"

/** One remote SDS stream that asked for its key and its bundle, and what came of it. */
export interface SecretStream {
  readonly call: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>
  readonly secrets: Secret[]
  /** gRPC status, once it has ended. */
  code: number | undefined
}

export function openSecretStream(client: SecretDiscoveryServiceClient, token: string | undefined): SecretStream {
  const call = client.streamSecrets(bearer(token))
  const stream: SecretStream = { call, secrets: [], code: undefined }
  call.on("data", ({ resources }: DiscoveryResponse) => {
    stream.secrets.push(...resources.map(({ value }) => Secret.decode(value)))
  })
  call.on("error", () => undefined)
  call.on("status", ({ code }: ServiceError) => {
    stream.code = code
  })
  call.write(DiscoveryRequest.fromPartial({ resourceNames: ["default", "ROOTCA"], node: { id: "envoy" } }))
  return stream
}
