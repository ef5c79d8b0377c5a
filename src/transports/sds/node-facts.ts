import { IdentityError } from "../../core/errors.ts"
import type { Node } from "../../gen/envoy/config/core/v3/base.ts"
import { SECRET_TYPE, type ValidatorMode } from "./secret-encoder.ts"

/** What the first request of a stream says about the proxy; later requests may leave the node out. @see SDS-01 */
export interface NodeFacts {
  /** At most 253 bytes. */
  readonly consumer: string
  readonly mode: ValidatorMode
}

/** @param peer names a proxy that gave no node id */
export function parseNodeFacts(node: Node | undefined, peer: string, fallback: ValidatorMode): NodeFacts {
  const metadata: unknown = node?.metadata?.["disable_spiffe_cert_validation"]
  return { consumer: bounded(node?.id || peer), mode: metadata === true ? "plain" : fallback }
}

/** Secrets only; a service with one type lets the URL be left out. @throws IdentityError `malformed` */
export function requireSecretType(typeUrl: string): void {
  if (typeUrl !== "" && typeUrl !== SECRET_TYPE) {
    throw new IdentityError("malformed", `this service has resources of type ${SECRET_TYPE} only`)
  }
}

function bounded(name: string): string {
  const bytes = Buffer.from(name)
  // Whole characters: the last one may have been cut.
  return bytes.length <= MAX_CONSUMER
    ? name
    : bytes
        .subarray(0, MAX_CONSUMER)
        .toString()
        .replace(/\ufffd+$/, "")
}

const MAX_CONSUMER = 253
