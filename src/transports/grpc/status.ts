import { Metadata, type StatusObject } from "@grpc/grpc-js"
import { type ErrorCode, type IdentityError, toIdentityError } from "../../core/errors.ts"
import { ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.ts"
import { Status } from "../../gen/google/rpc/status.ts"

/** What gRPC doors answer. A door whose protocol asks for something else passes its own rows to {@link toStatus}. */
export const GRPC_STATUS = {
  malformed: 3,
  unauthenticated: 16,
  "attestation-denied": 7,
  "no-identity": 7,
  "policy-denied": 7,
  "audience-denied": 7,
  "scope-denied": 7,
  "grant-expired-or-replayed": 16,
  "not-found": 5,
  "already-exists": 6,
  conflict: 10,
  "rate-limited": 8,
  "not-ready": 14,
  "attestor-down": 14,
  unsupported: 12,
  cancelled: 1,
  deadline: 4,
  internal: 13,
} as const satisfies Record<ErrorCode, number>

export type StatusOverrides = Partial<Record<ErrorCode, number>>

/**
 * Render whatever was thrown as a gRPC status with google.rpc.ErrorInfo (domain `assay`, reason = our reason or code) and,
 * when a retry may help, google.rpc.RetryInfo. A bug shows the caller its code and the request id, and nothing else.
 */
export function toStatus(thrown: unknown, overrides: StatusOverrides = {}, requestId = ""): StatusObject {
  const error = toIdentityError(thrown)
  const code = overrides[error.code] ?? GRPC_STATUS[error.code]
  const details = error.code === "internal" && requestId !== "" ? `internal error, request ${requestId}` : error.message
  const metadata = new Metadata()
  metadata.set(DETAILS_KEY, Buffer.from(encodeDetails(error, code, requestId)))
  return { code, details, metadata }
}

function encodeDetails(error: IdentityError, code: number, requestId: string): Uint8Array {
  const info = ErrorInfo.encode({
    reason: error.reason ?? error.code,
    domain: ERROR_DOMAIN,
    metadata: {
      code: error.code,
      ...(requestId === "" ? {} : { requestId }),
      ...(error.next === undefined ? {} : { next: error.next }),
    },
  }).finish()
  const details = [{ typeUrl: `${TYPE_PREFIX}google.rpc.ErrorInfo`, value: Buffer.from(info) }]
  if (error.retryAfter !== undefined) {
    const retry = RetryInfo.encode({ retryDelay: { seconds: error.retryAfter, nanos: 0 } }).finish()
    details.push({ typeUrl: `${TYPE_PREFIX}google.rpc.RetryInfo`, value: Buffer.from(retry) })
  }
  return Status.encode({ code, message: error.message, details }).finish()
}

/** `domain` of every ErrorInfo that Assay sends. */
export const ERROR_DOMAIN = "assay"
const DETAILS_KEY = "grpc-status-details-bin"
const TYPE_PREFIX = "type.googleapis.com/"
