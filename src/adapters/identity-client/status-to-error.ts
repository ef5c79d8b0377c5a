import { type Metadata, status as Status, type StatusObject } from "@grpc/grpc-js"
import { ERROR_CODES, type ErrorCode, IdentityError } from "../../core/errors.ts"
import type { Problem } from "../../gen/assay/v1/identity.ts"
import { ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.ts"
import { Status as RpcStatus } from "../../gen/google/rpc/status.ts"

/** A status of the server as the error that it was there. @see AGT-33 */
export function statusToError(status: Pick<StatusObject, "code" | "details" | "metadata">): IdentityError {
  const { code, reason, next, retryAfter } = readDetails(status.metadata)
  return new IdentityError(code ?? CODE_OF_STATUS[status.code] ?? "internal", status.details, {
    cause: status,
    ...(reason === undefined ? {} : { reason }),
    ...(next === undefined ? {} : { next }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

/** True when our server itself answered, and not the network or something on the way. */
export function isServersAnswer(status: Pick<StatusObject, "metadata">): boolean {
  return readDetails(status.metadata).code !== undefined
}

/** What befell one item of a batch. */
export function problemToError({ code, message, reason, next, retryAfterSeconds }: Problem): IdentityError {
  return new IdentityError(knownCode(code) ?? "internal", message, {
    ...(reason === "" ? {} : { reason }),
    ...(next === "" ? {} : { next }),
    ...(retryAfterSeconds === 0 ? {} : { retryAfter: retryAfterSeconds }),
  })
}

interface Details {
  readonly code?: ErrorCode | undefined
  readonly reason?: string | undefined
  readonly next?: string | undefined
  readonly retryAfter?: number | undefined
}

function readDetails(metadata: Metadata): Details {
  const encoded = metadata.get(DETAILS_KEY)[0]
  if (!Buffer.isBuffer(encoded) || encoded.length > MAX_DETAILS) return {}
  try {
    return RpcStatus.decode(encoded).details.reduce(readDetail, {})
  } catch {
    return {} // details explain a status; one that cannot be read still stands
  }
}

function readDetail(
  details: Details,
  { typeUrl, value }: { readonly typeUrl: string; readonly value: Uint8Array },
): Details {
  switch (typeUrl.slice(typeUrl.lastIndexOf("/") + 1)) {
    case "google.rpc.ErrorInfo": {
      const info = ErrorInfo.decode(value)
      if (info.domain !== ERROR_DOMAIN) return details
      const { code = info.reason, next } = info.metadata
      return { ...details, code: knownCode(code), reason: info.reason, next }
    }
    case "google.rpc.RetryInfo":
      return { ...details, retryAfter: RetryInfo.decode(value).retryDelay?.seconds }
    default:
      return details
  }
}

function knownCode(text: string): ErrorCode | undefined {
  return ERROR_CODES.find((code) => code === text)
}

const ERROR_DOMAIN = "assay"
const DETAILS_KEY = "grpc-status-details-bin"
const MAX_DETAILS = 16 * 1024

/** For a status without our details: it comes from grpc-js, or from a proxy on the way. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  [Status.OK]: "internal",
  [Status.CANCELLED]: "cancelled",
  [Status.UNKNOWN]: "not-ready",
  [Status.INVALID_ARGUMENT]: "malformed",
  [Status.DEADLINE_EXCEEDED]: "deadline",
  [Status.NOT_FOUND]: "not-found",
  [Status.ALREADY_EXISTS]: "already-exists",
  // Only our own server can say that there is no identity; a proxy's refusal is an outage of the way there.
  [Status.PERMISSION_DENIED]: "not-ready",
  [Status.RESOURCE_EXHAUSTED]: "rate-limited",
  [Status.FAILED_PRECONDITION]: "not-ready",
  [Status.ABORTED]: "conflict",
  [Status.OUT_OF_RANGE]: "malformed",
  [Status.UNIMPLEMENTED]: "unsupported",
  [Status.INTERNAL]: "internal",
  [Status.UNAVAILABLE]: "not-ready",
  [Status.DATA_LOSS]: "internal",
  [Status.UNAUTHENTICATED]: "unauthenticated",
}
