import { IdentityError } from "../errors.ts"
import { isJsonObject, parseJsonObject } from "../json.ts"
import type { TrustBundle } from "./bundle.ts"
import { encodeBundle, readBundle } from "./bundle-document.ts"
import { parseTrustDomain } from "./id.ts"

/** Bundles of several trust domains in one document, without refresh hints. @throws TypeError for two of one domain @see TD-06 TD-07 */
export function encodeBundleMap(bundles: readonly TrustBundle[]): string {
  const names = new Set(bundles.map(({ trustDomain }) => trustDomain))
  if (names.size !== bundles.length) throw new TypeError("two bundles of one trust domain")
  const members = bundles.map((bundle) => {
    const document = encodeBundle({ ...bundle, refreshHint: undefined })
    return `${JSON.stringify(bundle.trustDomain)}:${document}`
  })
  return `{"trust_domains":{${members.join(",")}}}`
}

/** Read a bundle map, all of it or nothing. Refresh hints in it are ignored. @throws IdentityError `malformed` @see TD-06..TD-09 */
export function parseBundleMap(text: string): readonly TrustBundle[] {
  if (text.length > MAX_TEXT) throw malformed("bundle map is longer than 16 MiB")
  const domains = parseJsonObject(text)["trust_domains"]
  if (!isJsonObject(domains)) throw malformed("bundle map has no trust_domains")
  const entries = Object.entries(domains)
  if (entries.length > MAX_DOMAINS) throw malformed("bundle map has more than 1024 trust domains")
  return entries.map(([name, document]) => {
    const trustDomain = parseTrustDomain(name)
    if (!isJsonObject(document)) throw malformed("bundle map has a bundle that is no object")
    return { trustDomain, ...readBundle({ ...document, spiffe_refresh_hint: 0 }), refreshHint: undefined }
  })
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message, { reason: "bundle-map" })
}

const MAX_TEXT = 16 * 1024 * 1024
const MAX_DOMAINS = 1024
