import { IdentityError } from "../../core/errors.ts"
import { parseSpiffeId, pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from "../../core/spiffe/id.ts"

/** The words that stand for a secret besides SPIFFE IDs. All different. */
export interface SecretWords {
  /** The default SVID; SPIRE and Istio say `default`. */
  readonly svid: string
  /** The bundle of the own trust domain; `ROOTCA`. */
  readonly bundle: string
  /** The own and the federated bundles; `ALL`. */
  readonly allBundles: string
}

/** What a resource name asks for. */
export type SecretRequest =
  | { readonly kind: "default-svid" }
  | { readonly kind: "svid"; readonly spiffeId: SpiffeId }
  | { readonly kind: "own-bundle" }
  | { readonly kind: "all-bundles" }
  | { readonly kind: "bundle"; readonly trustDomain: TrustDomain }
  | { readonly kind: "foreign" }

/** Read a resource name. A name that is nobody's is data, not a failure. @see SDS-07 PIT-08 */
export function decideRequest(name: string, words: SecretWords): SecretRequest {
  if (name === words.svid) return { kind: "default-svid" }
  if (name === words.bundle) return { kind: "own-bundle" }
  if (name === words.allBundles) return { kind: "all-bundles" }
  const id = spiffeIdOrNone(name)
  if (id === undefined) return { kind: "foreign" }
  return pathOf(id) === "" ? { kind: "bundle", trustDomain: trustDomainOf(id) } : { kind: "svid", spiffeId: id }
}

function spiffeIdOrNone(name: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(name)
  } catch (error) {
    if (error instanceof IdentityError) return undefined
    throw error
  }
}

/** The words of SPIRE. */
export const SPIRE_WORDS: SecretWords = { svid: "default", bundle: "ROOTCA", allBundles: "ALL" }
