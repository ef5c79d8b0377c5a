import type { IdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"

/** What is in force of a trust domain whose file is bad: `stored`: as another process kept it before this one started. */
export type Standby = "last-read" | "stored" | "none"

/** What happens to the trust in other trust domains. */
export interface FederationEvents {
  /** This is in force from now on. `before`: what was. */
  accepted(bundle: TrustBundle, before: TrustBundle | undefined): void
  /** It left the configuration, and is trusted no more. */
  dropped(trustDomain: TrustDomain): void
  /** Told when it begins, when the reason changes, and once an hour. @see TD-19 */
  fileBad(domain: FederatedDomain, standby: Standby, err: IdentityError): void
  /** It can be read again. */
  fileWell(domain: FederatedDomain): void
  /** What is in force could not be kept, and is tried again. `isNews`: to be logged, since it was not told lately. */
  keepFailed(err: IdentityError, isNews: boolean): void
  /** All that is in force is kept again. */
  keptAgain(): void
  /** As {@link fileBad}: consumers do not have it yet. */
  publishFailed(err: IdentityError): void
}

/** Another trust domain, as it is configured. */
export interface FederatedDomain {
  readonly trustDomain: TrustDomain
  readonly bundleFile: string
}
