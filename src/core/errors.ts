import type { Seconds } from "./time.ts"

/** Every way in which a request can fail by design. The table of what each door answers is `spec/90-errors.md`. */
export type ErrorCode = (typeof ERROR_CODES)[number]

export interface IdentityErrorOptions {
  /** For the log only; never shown to the caller. */
  readonly cause?: unknown
  /** When a retry may succeed. */
  readonly retryAfter?: Seconds
  /** Stable, finer than the code, kebab-case, from a closed list of the module that throws; shown to the caller. */
  readonly reason?: string
  /** What the caller can do about it, in one sentence without final stop; shown to the caller. */
  readonly next?: string
}

/** An expected failure. `message` is safe for the caller. */
export class IdentityError extends Error {
  override readonly name = "IdentityError"
  readonly code: ErrorCode
  readonly retryAfter: Seconds | undefined
  readonly reason: string | undefined
  readonly next: string | undefined

  constructor(code: ErrorCode, message: string, options: IdentityErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryAfter = options.retryAfter
    this.reason = options.reason
    this.next = options.next
  }
}

/** The one normaliser: whatever was thrown, as an IdentityError. What we do not know is `internal`. */
export function toIdentityError(thrown: unknown): IdentityError {
  if (thrown instanceof IdentityError) return thrown
  if (thrown instanceof Error && thrown.name === "AbortError") {
    return new IdentityError("cancelled", "cancelled", { cause: thrown })
  }
  if (thrown instanceof Error && thrown.name === "TimeoutError") {
    return new IdentityError("deadline", "deadline exceeded", { cause: thrown })
  }
  return new IdentityError("internal", "internal error", { cause: thrown })
}

export const ERROR_CODES = [
  "malformed",
  "unauthenticated",
  "attestation-denied",
  "no-identity",
  "policy-denied",
  "audience-denied",
  "scope-denied",
  "grant-expired-or-replayed",
  "not-found",
  "already-exists",
  "conflict",
  "rate-limited",
  "not-ready",
  "attestor-down",
  "unsupported",
  "cancelled",
  "deadline",
  "internal",
] as const
