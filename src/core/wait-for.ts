import { IdentityError } from "./errors.ts"

/** Wait for `work`, but no longer than until `signal` aborts; the work goes on. @throws IdentityError `cancelled` */
export async function waitFor<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(new IdentityError("cancelled", "cancelled"))
  if (signal.aborted) abort()
  signal.addEventListener("abort", abort)
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener("abort", abort)
  }
}
