import { type ErrorCode, IdentityError } from "../../core/errors.ts"

/** A failed Workload API call as our error. The status text is the server's and is kept. */
export function workloadFailure(error: unknown, address: string): IdentityError {
  const { code, details } = statusOf(error)
  const isUnreachable = UNREACHABLE.test(details) // and no status of who answers, which may speak of such things, too
  if (isUnreachable && FORBIDDEN.test(details)) {
    return new IdentityError("not-ready", `you may not connect to ${address}`, {
      cause: error,
      reason: "socket-forbidden",
      next: "run it as a user who may, or set socket.mode of the agent",
    })
  }
  if (isUnreachable) {
    return new IdentityError("not-ready", `nothing answers at ${address}`, {
      cause: error,
      reason: "socket-unreachable",
    })
  }
  return new IdentityError(CODES.get(code) ?? "internal", details === "" ? "the Workload API failed" : details, {
    cause: error,
  })
}

function statusOf(error: unknown): { readonly code: number; readonly details: string } {
  if (!(error instanceof Error)) return { code: UNKNOWN, details: "" }
  const code = "code" in error && typeof error.code === "number" ? error.code : UNKNOWN
  const details = "details" in error && typeof error.details === "string" ? error.details : error.message
  return { code, details }
}

const UNKNOWN = 2
const UNREACHABLE = /^No connection established|^connect E/
const FORBIDDEN = /connect (?:EACCES|EPERM)\b/
const CODES: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [1, "cancelled"],
  [3, "malformed"],
  [4, "deadline"],
  [7, "no-identity"],
  [8, "rate-limited"],
  [12, "unsupported"],
  [14, "not-ready"],
  [16, "unauthenticated"],
])
