import { isJsonObject, type Json, parseJson } from "../json.ts"
import type { JwtAuthority } from "../spiffe/bundle.ts"
import { type IssuerAddresses, protectedResourceMetadata, serverMetadata, wellKnownPaths } from "./metadata.ts"
import { encodeOidcKeys } from "./oidc-jwks.ts"

/** One document for relying parties, as somebody else serves it. */
export interface PublishedDocument {
  /** A name of its own, without slashes. */
  readonly name: "keys" | "openid-configuration" | "oauth-authorization-server" | "oauth-protected-resource"
  /** Where it is found below the host of the issuer, without a slash in front; one or more. */
  readonly paths: readonly string[]
  /** JSON. */
  readonly content: string
}

/** What a bucket needs to serve an issuer: the same texts as the server's. Whoever finds a document finds those it names. @see PUB-01 */
export function publishedDocuments(
  addresses: IssuerAddresses,
  authorities: readonly JwtAuthority[],
): readonly PublishedDocument[] {
  const { issuer } = addresses
  const { openid, oauth, protectedResource, keys } = wellKnownPaths(issuer)
  const metadata = JSON.stringify(serverMetadata(addresses))
  const resource = JSON.stringify(protectedResourceMetadata(issuer))
  return [
    { name: "keys", paths: relative([keys]), content: encodeOidcKeys(authorities) },
    { name: "openid-configuration", paths: relative([openid]), content: metadata },
    { name: "oauth-authorization-server", paths: relative(oauth), content: metadata },
    { name: "oauth-protected-resource", paths: relative(protectedResource), content: resource },
  ]
}

/** True for a discovery document that somebody else's issuer wrote. What is no such document is nobody's. @see PUB-04 */
export function isForeignDiscovery(text: string, issuer: string): boolean {
  const document = jsonOrNothing(text)
  return isJsonObject(document) && typeof document["issuer"] === "string" && document["issuer"] !== issuer
}

/** True when each segment of the issuer's path can be the name of a file. @see PUB-06 */
export function hasPublishablePath(issuer: string): boolean {
  return /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\/?$/.test(new URL(issuer).pathname)
}

function relative(paths: readonly string[]): readonly string[] {
  return paths.map((path) => path.slice(1))
}

function jsonOrNothing(text: string): Json | undefined {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}
