import { IdentityError } from "../errors.ts"
import type { TrustBundle } from "./bundle.ts"

/** Refuse what agents would refuse: they would do without everything else that came with it, too. @throws IdentityError `malformed` @see TD-22 */
export function demandDeliverable({ x509Authorities, jwtAuthorities }: TrustBundle): void {
  if (x509Authorities.length > MAX_AUTHORITIES) throw tooLong(`bundle has more than ${MAX_AUTHORITIES} certificates`)
  if (jwtAuthorities.length > MAX_AUTHORITIES) throw tooLong(`bundle has more than ${MAX_AUTHORITIES} JWT keys`)
}

/** The same for all that one consumer may get together. @throws IdentityError `malformed` @see TD-22 */
export function demandRoom(bundles: readonly TrustBundle[]): void {
  const bytes = bundles.map(sizeOf).reduce((sum, size) => sum + size, 0)
  if (bytes > MAX_TOTAL) throw tooLong("all federated bundles together would be longer than 2 MiB")
}

function sizeOf({ x509Authorities, jwtAuthorities }: TrustBundle): number {
  return x509Authorities.reduce((sum, der) => sum + der.length, JSON.stringify(jwtAuthorities).length)
}

function tooLong(message: string): IdentityError {
  return new IdentityError("malformed", message, { reason: "bundle-size" })
}

/** Certificates, or JWT keys, of one bundle: what everybody who reads one takes. @see TD-22 */
export const MAX_AUTHORITIES = 256
/** Workloads read at most 4 MiB in a message of the Workload API, and PEM takes a third more than DER. */
const MAX_TOTAL = 2 * 1024 * 1024
