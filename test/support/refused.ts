import assert from "node:assert/strict"
import { type ErrorCode, IdentityError } from "../../src/core/errors.ts"

/** Expect an IdentityError with this code and, when given, reason. */
export function assertRefused(run: () => unknown, code: ErrorCode, reason?: string): void {
  assert.throws(run, (error) => isRefusal(error, code, reason))
}

/** {@link assertRefused} for promises. */
export async function assertRejected(promise: Promise<unknown>, code: ErrorCode, reason?: string): Promise<void> {
  await assert.rejects(promise, (error) => isRefusal(error, code, reason))
}

function isRefusal(error: unknown, code: ErrorCode, reason: string | undefined): boolean {
  assert.ok(error instanceof IdentityError, `not an IdentityError: ${String(error)}`)
  assert.equal(error.code, code)
  if (reason !== undefined) assert.equal(error.reason, reason, error.message)
  return true
}
