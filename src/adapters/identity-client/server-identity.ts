import type { PeerCertificate } from "node:tls"
import { serverId, type TrustDomain } from "../../core/spiffe/id.ts"

/** Why a certificate, whose chain was verified, is not the server's; `undefined` when it is. */
export type CheckServer = (hostname: string, certificate: PeerCertificate) => Error | undefined

/**
 * The server of a trust domain is known by its SPIFFE ID alone: exactly one URI SAN, and that is it. Where it runs does not
 * matter. @see AGT-31 X5-04
 */
export function checkServerSpiffeId(trustDomain: TrustDomain): CheckServer {
  const expected = serverId(trustDomain)
  return (_, { subjectaltname = "" }) => {
    // Node quotes a name that could be mistaken for a list of names. No name of ours needs it, so none is accepted.
    const uris = subjectaltname.split(", ").filter((name) => name.startsWith("URI:"))
    if (!subjectaltname.includes('"') && uris.length === 1 && uris[0] === `URI:${expected}`) return undefined
    return new Error(`certificate is not that of ${expected}`)
  }
}
