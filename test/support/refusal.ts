import { type ErrorCode, IdentityError } from "../../src/core/errors.ts"

/** For `assert.rejects` and `assert.throws`: an IdentityError with this code, and this reason when one is given. */
export function refusal(code: ErrorCode, reason?: string): (thrown: unknown) => boolean {
  return (thrown) =>
    thrown instanceof IdentityError && thrown.code === code && (reason === undefined || thrown.reason === reason)
}
