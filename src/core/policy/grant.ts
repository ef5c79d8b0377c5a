import type { ErrorCode } from "../errors.ts"
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts"
import type { Seconds } from "../time.ts"

/** One identity that the rules give to an attested caller, with its bounds. */
export interface Grant {
  /** Name of the rule, and the revision of the table it stands in. */
  readonly rule: string
  readonly revision: string
  readonly id: SpiffeId
  /** Empty when the rule has none. Unique within the grants of one decision. @see WA-10 */
  readonly hint: string
  readonly x509Ttl: Seconds
  readonly jwtTtl: Seconds
  readonly dnsNames: readonly string[]
  /** Audiences a JWT-SVID may be made for; `undefined` for any. */
  readonly audiences: readonly string[] | undefined
  readonly federatesWith: readonly TrustDomain[]
}

/** Data, so that permits and refusals are audited alike and `assay explain` can replay them. */
export type Decision =
  | {
      readonly kind: "granted" /** Default identity first, stable order, never empty. */
      readonly grants: readonly Grant[]
    }
  | Refusal

export interface Refusal {
  readonly kind: "refused"
  readonly code: ErrorCode
  /** Stable, kebab-case. */
  readonly reason: string
  readonly message: string
  /** The rule that came closest, and the first condition of it that failed. */
  readonly nearest: { readonly rule: string; readonly condition: string } | undefined
}
