import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { IdentityClient } from "../../gen/assay/v1/identity.ts"
import { callUnary } from "./call-unary.ts"
import { addressOf, channelOptions, type ServerEndpoint, unverifiedCredentials } from "./channel-trust.ts"
import { parseBundle } from "./messages.ts"

/**
 * Ask whoever answers for the bundle. Nothing secret is sent, the token least of all. @throws IdentityError @see AGT-38
 */
export async function fetchBundleUnverified(
  endpoint: ServerEndpoint,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const client = new IdentityClient(addressOf(endpoint), unverifiedCredentials(), channelOptions(endpoint))
  try {
    const { bundle } = await callUnary(client.fetchBundle.bind(client), {}, undefined, TIMEOUT, signal)
    const { trustDomain, x509Authorities } = parseBundle(bundle)
    if (trustDomain === endpoint.trustDomain) return x509Authorities
    throw new IdentityError("not-ready", `the server is of trust domain ${trustDomain}`)
  } finally {
    client.close()
  }
}

const TIMEOUT: Millis = 10_000
