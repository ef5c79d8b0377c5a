import { constants } from "node:crypto"
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls"
import { TLS_CIPHERS } from "../core/tls-ciphers.ts"
import { encodePem } from "../core/x509/pem.ts"
import type { X509Context } from "./x509-context.ts"

/**
 * Key, chain and trust of one moment in the form that Node wants. TLS 1.2 or later, no session tickets, no renegotiation: every
 * connection is verified anew. @see CLT-07
 */
export function secureContextOptions({ svid, bundles }: X509Context): SecureContextOptions {
  return {
    cert: pemOf(svid.chain),
    key: svid.key.expose((der) => encodePem("PRIVATE KEY", der)),
    ca: [...bundles.values()].flatMap(({ x509Authorities }) => x509Authorities.map((der) => pemOf([der]))),
    // An authority of a bundle need not be a root of its own.
    allowPartialTrustChain: true,
    minVersion: "TLSv1.2",
    ciphers: TLS_CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}

/** {@link secureContextOptions}, ready for use; made once for each context. */
export function secureContextOf(context: X509Context): SecureContext {
  const known = CONTEXTS.get(context)
  if (known !== undefined) return known
  const made = createSecureContext(secureContextOptions(context))
  CONTEXTS.set(context, made)
  return made
}

function pemOf(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => encodePem("CERTIFICATE", der)).join("")
}

const CONTEXTS = new WeakMap<X509Context, SecureContext>()
