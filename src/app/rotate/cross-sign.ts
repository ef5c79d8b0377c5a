import { canVouch, liveCrossCertificates, MAX_CROSS_CERTIFICATES } from "../../core/authority/cross-certificates.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import { type CertificateView, parseCertificate } from "../../core/x509/certificate.ts"
import { verifyCrossCertificate } from "../../core/x509/path.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { RootRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import { rootId } from "../authority/root-id.ts"
import { signCross } from "../issue/sign-authority.ts"

export interface CrossSignDeps {
  readonly keys: Pick<KeyStore, "open">
  readonly audit: AuditLog
  readonly clock: Pick<Clock, "now">
  readonly random: Random
}

export interface CrossSignOrder {
  /** Who vouches. */
  readonly earlier: RootRecord
  /** For whom, DER. */
  readonly certificate: Uint8Array
  readonly trustDomain: TrustDomain
  /** For the audit log. */
  readonly requestId: string
}

/**
 * Have an earlier root vouch for a new one: the cross-certificates that belong to the new one, nearest first. Each is signed, read
 * again, verified and audited before it is in a record. None when the earlier root bounds the path, or has expired. Never for the root
 * of an emergency: the one before it may be in other hands. @see ROT-70 ROT-73 ROT-74
 */
export async function crossSign(deps: CrossSignDeps, order: CrossSignOrder): Promise<readonly Uint8Array[]> {
  const { earlier, trustDomain, requestId } = order
  const [issuer, root] = [parseCertificate(earlier.certificate), parseCertificate(order.certificate)]
  const now = deps.clock.now()
  if (!canVouch(issuer) || !canVouch(root) || issuer.notAfter <= now) return []
  const serial = makeSerial(deps.random, ROOT_SERIAL_PREFIX)
  const validity = commonValidity(root, issuer)
  const signer = await deps.keys.open(earlier.keyId)
  const certificate = await signCross({ serial, trustDomain, ...validity }, root, issuer, signer).finally(() =>
    signer.forget(),
  )
  verifyCrossCertificate(certificate, bundleOf(trustDomain, earlier), now)
  await deps.audit.append({
    type: "authority.crossed",
    at: now,
    actor: "server",
    requestId,
    authority: rootId(order),
    issuer: rootId(earlier),
    serial,
    notAfter: validity.notAfter,
  })
  return [certificate, ...liveCrossCertificates(earlier.crossCertificates, now)].slice(0, MAX_CROSS_CERTIFICATES)
}

/** While both roots are valid. */
function commonValidity(root: CertificateView, issuer: CertificateView) {
  return {
    notBefore: Math.max(root.notBefore, issuer.notBefore),
    notAfter: Math.min(root.notAfter, issuer.notAfter),
  }
}

/** What somebody holds who knows of one root alone. */
function bundleOf(trustDomain: TrustDomain, { certificate }: RootRecord): TrustBundle {
  return { trustDomain, x509Authorities: [certificate], jwtAuthorities: [], sequence: 0, refreshHint: undefined }
}

const ROOT_SERIAL_PREFIX = 1
