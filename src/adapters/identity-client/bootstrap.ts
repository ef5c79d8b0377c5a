import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { ServerEndpoint } from "./channel-trust.ts"
import { fetchBundleUnverified } from "./fetch-bundle.ts"
import { fetchDocument } from "./fetch-document.ts"
import { parseBundleText } from "./parse-bundle-text.ts"
import { parsePemCertificates } from "./pem.ts"
import { readBounded } from "./read-bounded.ts"

/** Where the roots come from that the server is first verified by. */
export type Bootstrap =
  | { readonly kind: "bundle-file"; readonly file: string }
  /** `caFile`: PEM roots of the server at `url`; `undefined`: those of the system. */
  | { readonly kind: "bundle-url"; readonly url: string; readonly caFile: string | undefined }
  /** For development only: whoever answers at the server's address is believed. */
  | { readonly kind: "insecure" }
  /** The server shows a certificate from files: the PEM roots of that. */
  | { readonly kind: "ca-file"; readonly file: string }

/** Load roots, DER, at least one. @throws IdentityError `not-ready` @see AGT-38 AGT-39 */
export async function loadRoots(
  bootstrap: Bootstrap,
  endpoint: ServerEndpoint,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  try {
    const roots = await load(bootstrap, endpoint, signal)
    if (roots.length === 0) throw new IdentityError("malformed", "the bundle has no X.509 authority")
    return roots
  } catch (cause) {
    const error = toIdentityError(cause)
    if (error.code === "cancelled") throw error
    const message = error.code === "internal" ? "cannot be read" : error.message
    throw new IdentityError("not-ready", `no roots to verify the server by, ${describe(bootstrap)}: ${message}`, {
      cause,
    })
  }
}

async function load(
  bootstrap: Bootstrap,
  endpoint: ServerEndpoint,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  switch (bootstrap.kind) {
    case "bundle-file":
      return parseBundleText(await readBounded(bootstrap.file, MAX_FILE, "it"), endpoint.trustDomain)
    case "ca-file":
      return parsePemCertificates(await readBounded(bootstrap.file, MAX_FILE, "it"))
    case "bundle-url": {
      const ca = bootstrap.caFile === undefined ? undefined : await readBounded(bootstrap.caFile, MAX_FILE)
      return parseBundleText(await fetchDocument(bootstrap.url, ca, FETCH_TIMEOUT, signal), endpoint.trustDomain)
    }
    case "insecure":
      return fetchBundleUnverified(endpoint, signal)
    default:
      return bootstrap satisfies never
  }
}

function describe(bootstrap: Bootstrap): string {
  switch (bootstrap.kind) {
    case "bundle-file":
    case "ca-file":
      return `file ${bootstrap.file}`
    case "bundle-url":
      return bootstrap.url
    case "insecure":
      return "the server itself"
    default:
      return bootstrap satisfies never
  }
}

const MAX_FILE = 1024 * 1024
const FETCH_TIMEOUT: Millis = 10_000
