import type { IdentityError } from "../../core/errors.ts"
import type { X509Svid } from "./requests.ts"

/** What the pipeline does, for log and metrics: one call per event. */
export interface IssueEvents {
  x509Issued(svid: X509Svid, requestId: string): void
  jwtIssued(requestId: string): void
  /** A request for `/token` was served with an access token. */
  accessTokenIssued(requestId: string): void
  /** Who asked for a certificate may not go on from the one that it quoted. @see INV-31 LIN-04 */
  renewalRefused(spiffeId: string, requestId: string, error: IdentityError): void
  refused(kind: "x509" | "jwt" | "token", requestId: string, error: IdentityError): void
}
