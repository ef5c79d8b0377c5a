import { type ErrorCode, type IdentityError, toIdentityError } from "../../core/errors.ts"
import { type RequestReason, requestRefusal } from "../../core/oauth/request-refusal.ts"

/** Run `read`; what is wrong with the token becomes one refusal, everything else stays what it is. */
export function refuseAs<T>(reason: RequestReason, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw translated(reason, thrown)
  }
}

/** {@link refuseAs} of what resolves later. */
export async function refuseLaterAs<T>(reason: RequestReason, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (thrown) {
    throw translated(reason, thrown)
  }
}

function translated(reason: RequestReason, thrown: unknown): IdentityError {
  const error = toIdentityError(thrown)
  return OF_THE_TOKEN.has(error.code) ? requestRefusal(reason, error) : error
}

const OF_THE_TOKEN: ReadonlySet<ErrorCode> = new Set(["malformed", "unauthenticated"])
