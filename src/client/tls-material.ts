import { constants } from "node:crypto"
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls"
import { TLS_CIPHERS } from "../core/tls-ciphers.ts"
import { encodeSequence } from "../core/x509/der.ts"
import { encodeOid, OID } from "../core/x509/oid.ts"
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
    ca: [...bundles.values()].flatMap(({ x509Authorities }) => x509Authorities.map(anchorOf)),
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

/**
 * An authority that chains may end in though it is no root of its own: OpenSSL's form of a certificate with what it is trusted
 * for. `allowPartialTrustChain` would say the same, but Node's servers do not pass it on. @see CLT-05
 */
function anchorOf(der: Uint8Array): string {
  return encodePem("TRUSTED CERTIFICATE", Buffer.concat([der, TRUSTED_FOR_TLS]))
}

/** X509_CERT_AUX: a sequence of the purposes, here TLS servers and clients. */
const TRUSTED_FOR_TLS = encodeSequence(encodeSequence(encodeOid(OID.serverAuth), encodeOid(OID.clientAuth)))
const CONTEXTS = new WeakMap<X509Context, SecureContext>()
