import type { TrustDomain } from "./id.ts"

/** The server name for which the server shows a certificate of the root that a rotation brings in. @see EV-4 */
export function trustProbeName(trustDomain: TrustDomain): string {
  return `assay-trust-probe.${trustDomain}`
}
