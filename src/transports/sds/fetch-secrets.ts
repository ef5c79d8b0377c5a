import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js"
import { begun } from "../../app/deliver/begun.ts"
import { IdentityError } from "../../core/errors.ts"
import type { DiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts"
import { callSignal } from "../grpc/signal.ts"
import { toStatus } from "../grpc/status.ts"
import { encodeDiscoveryResponse } from "./discovery-wire.ts"
import { parseNodeFacts, requireSecretType } from "./node-facts.ts"
import type { SdsEvents } from "./sds-events.ts"
import type { SdsDeps } from "./sds-service.ts"
import type { SecretEncoder } from "./secret-encoder.ts"

type FetchDeps = Pick<SdsDeps, "openSource" | "validator" | "limits"> & {
  readonly encoder: SecretEncoder
  readonly events: SdsEvents
}

/** `FetchSecrets`: those of the named secrets that exist now, or as soon as it is known what the caller has. @see XDS-10 */
export function makeFetchSecrets(deps: FetchDeps) {
  return (call: ServerUnaryCall<DiscoveryRequest, Buffer>, reply: sendUnaryData<Buffer>): void => {
    fetchSecrets(deps, call).then(
      (response) => reply(null, response),
      (thrown: unknown) => {
        deps.events.rejected("fetch", thrown)
        reply(toStatus(thrown))
      },
    )
  }
}

async function fetchSecrets(deps: FetchDeps, call: ServerUnaryCall<DiscoveryRequest, Buffer>): Promise<Buffer> {
  const { node, typeUrl, resourceNames } = call.request
  requireSecretType(typeUrl)
  const names = new Set(resourceNames)
  if (names.size > deps.limits.names) {
    throw new IdentityError("malformed", `more than ${deps.limits.names} resource names in one request`)
  }
  const signal = callSignal(call)
  await using lease = await deps.openSource(call, signal)
  // That of a proxy without agent begins with this call.
  await begun(lease.source, signal)
  const state = lease.source.current()
  if (state.kind !== "ready") throw state.error
  const set = deps.encoder(state.view, parseNodeFacts(node, call.getPeer(), deps.validator).mode)
  const secrets = [...names].map((name) => set.find(name)).filter((secret) => secret !== undefined)
  deps.events.pushed("fetch")
  return encodeDiscoveryResponse({ nonce: "", secrets })
}
