import type { Metadata } from "@grpc/grpc-js"
import type { IdentitySource, IdentityView } from "../../app/deliver/identity-source.ts"
import { IdentityError } from "../../core/errors.ts"
import type { StatusOverrides } from "../grpc/status.ts"

/** What is known of a caller before its call is answered. */
export interface WorkloadCaller {
  readonly metadata: Metadata
  getPeer(): string
}

/** Refuse a request that a server-side request forgery could have made. @throws IdentityError `malformed` @see WE-04 */
export function requireSecurityHeader(metadata: Metadata): void {
  const values = metadata.get(SECURITY_HEADER)
  if (values.length !== 1 || values[0] !== "true") {
    throw new IdentityError("malformed", "security header missing from request")
  }
}

/** What the caller may hold now. @throws IdentityError `not-ready`, `no-identity` @see WE-07 WE-08 WA-11 */
export function readyView(source: IdentitySource): IdentityView {
  const state = source.current()
  switch (state.kind) {
    case "ready":
      return state.view
    case "waiting":
      throw restate("not-ready", state.error)
    case "denied":
      throw restate("no-identity", state.error)
    default:
      return state satisfies never
  }
}

/** The state decides the code; the error behind it says why. */
function restate(code: "not-ready" | "no-identity", error: IdentityError): IdentityError {
  return new IdentityError(code, error.message, {
    cause: error,
    reason: error.reason ?? error.code,
    ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }),
  })
}

/**
 * Where the Workload API asks for another status than our other doors. A proof that the server refuses is the agent's, not
 * the caller's, so the caller is told to come back. @see WE-07
 */
export const WORKLOAD_STATUS: StatusOverrides = {
  "rate-limited": 14,
  unauthenticated: 14,
  "attestation-denied": 14,
  "grant-expired-or-replayed": 14,
}

const SECURITY_HEADER = "workload.spiffe.io"
