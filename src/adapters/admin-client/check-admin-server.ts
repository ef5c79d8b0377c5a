import { checkServerIdentity, type PeerCertificate } from "node:tls"
import { toIdentityError } from "../../core/errors.ts"
import { parseSpiffeId, serverId, trustDomainOf } from "../../core/spiffe/id.ts"

/**
 * Why a certificate, whose chain ends in roots that the user named, is not the server's; `undefined` when it is. One with a
 * SPIFFE ID is known by that alone, as agents know it: where the server runs does not matter, and a workload, whatever its DNS
 * names, is not taken for it. One without is known by its host name. @see ADM-34
 */
export function checkAdminServer(host: string, certificate: PeerCertificate): Error | undefined {
  const { subjectaltname = "" } = certificate
  if (!subjectaltname.includes("URI:")) return checkServerIdentity(host, certificate)
  // Node quotes a name that could be mistaken for a list of names. No name of ours needs it, so none is accepted.
  const uris = subjectaltname.split(", ").filter((name) => name.startsWith("URI:"))
  const [uri = ""] = uris
  if (!subjectaltname.includes('"') && uris.length === 1 && isServerId(uri.slice("URI:".length))) return undefined
  return new Error("the certificate is that of somebody else than the server")
}

function isServerId(uri: string): boolean {
  try {
    const id = parseSpiffeId(uri)
    return id === serverId(trustDomainOf(id))
  } catch (thrown) {
    if (toIdentityError(thrown).code === "malformed") return false
    throw thrown
  }
}
