import type { SecureContextOptions } from "node:tls"
import { encodePem } from "../../core/x509/pem.ts"
import type { X509Svid } from "../../ports/workload-api.ts"

/** An SVID in the form that Node's TLS wants: chain, key and what to verify the peer's chain by. TLS 1.3 only. */
export function tlsMaterial({ chain, key, bundle }: X509Svid): SecureContextOptions {
  return {
    cert: pemOf(chain),
    key: key.expose((der) => encodePem("PRIVATE KEY", der)),
    ca: pemOf(bundle),
    minVersion: "TLSv1.3",
  }
}

function pemOf(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => encodePem("CERTIFICATE", der)).join("")
}
