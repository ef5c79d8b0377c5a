import { trustProbeName } from "../../core/spiffe/probe-name.ts"
import { IdentityClient } from "../../gen/assay/v1/identity.ts"
import { addressOf, channelCredentials, channelOptions, type ServerEndpoint, type TlsTerms } from "./channel-trust.ts"
import { probeTrust } from "./trust-probe.ts"

/** What came of asking for a certificate of the root that a rotation brings in. */
export type TrustProof =
  /** Calls of this client prove that the root is trusted. Close it. */
  | { readonly kind: "proven"; readonly client: IdentityClient }
  | { readonly kind: "untrusted"; readonly reason: string }
  /** There is no such root, or nobody answers. */
  | { readonly kind: "none" }

/** Verified by the same roots as every other connection. @see EV-4 AGT-44 */
export async function proveTrust(endpoint: ServerEndpoint, terms: TlsTerms): Promise<TrustProof> {
  const serverName = trustProbeName(endpoint.trustDomain)
  const result = await probeTrust(endpoint, { ...terms, serverName })
  if (result.kind === "unreachable") return { kind: "none" }
  if (result.kind === "untrusted") return result
  const options = { ...channelOptions(endpoint), "grpc.ssl_target_name_override": serverName }
  return { kind: "proven", client: new IdentityClient(addressOf(endpoint), channelCredentials(terms), options) }
}
