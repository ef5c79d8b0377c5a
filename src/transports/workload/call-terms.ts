import type { Metadata } from "@grpc/grpc-js"
import { type IdentitySource, type IdentityView, STARTING } from "../../app/deliver/identity-source.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
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

/**
 * Resolves once a source that has just begun knows what it has, at the latest after {@link LONGEST_START} or when `signal` aborts.
 * A workload starts beside its agent, and a client that is refused comes back a second later. @see WA-17
 */
export async function begun(source: IdentitySource, signal: AbortSignal): Promise<void> {
  // Most calls come later, and leave nothing behind that waits.
  if (!isStarting(source)) return
  const until = AbortSignal.any([signal, AbortSignal.timeout(LONGEST_START)])
  while (!until.aborted && isStarting(source)) await source.changed(until)
}

function isStarting(source: IdentitySource): boolean {
  const state = source.current()
  return state.kind === "waiting" && state.error.reason === STARTING
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

const LONGEST_START: Millis = 5_000
const SECURITY_HEADER = "workload.spiffe.io"
