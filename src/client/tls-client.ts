import type { ConnectionOptions, PeerCertificate } from "node:tls"
import { systemClock } from "../adapters/system/clock.ts"
import type { Authorize } from "./authorize.ts"
import { chainOf, verifyPeer } from "./peer.ts"
import { secureContextOf } from "./tls-material.ts"
import type { X509Holder } from "./x509-source.ts"

/** For one connection by `tls.connect`, `http2.connect` or `https.request`. */
export interface TlsClientOptions extends ConnectionOptions {
  /** `https.request` shares no connection that another authorizer let in. */
  readonly agent: false
}

/**
 * How to dial with the SVID of now. The server is known by its SPIFFE ID: its chain is verified by the bundle of its own trust
 * domain, `authorize` says whether it may be there, and its host name plays no part. Ask for new options for each connection,
 * or use `makeHttpsAgent`, `makeConnector` or `makeChannelCredentials`, which do that.
 * @throws IdentityError as {@link X509Holder.current}; the connection fails with one of `verifyPeer` @see CLT-05 CLT-07
 */
export function tlsClientOptions(source: X509Holder, authorize: Authorize): TlsClientOptions {
  return {
    agent: false,
    secureContext: secureContextOf(source.current()),
    rejectUnauthorized: true,
    // Runs once OpenSSL has verified the chain, in place of the comparison of host names.
    checkServerIdentity: (_host, certificate) => refusalOf(certificate, source, authorize),
    session: undefined,
  }
}

function refusalOf(certificate: PeerCertificate, source: X509Holder, authorize: Authorize): Error | undefined {
  try {
    verifyPeer(chainOf(certificate), source.current().bundles, authorize, systemClock.now())
    return undefined
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error("the peer cannot be verified", { cause: thrown })
  }
}
