import { assembleCertificate } from "../../core/x509/assemble.ts"
import type { AuthorityRequest, CrossRequest } from "../../core/x509/authority-template.ts"
import { type CertificateView, parseCertificate } from "../../core/x509/certificate.ts"
import { IssuancePermit } from "../../core/x509/permit.ts"
import type { Signer } from "../../ports/keys.ts"

/** A self-signed root certificate, DER. @see X5-11..X5-14 */
export function signRoot(request: AuthorityRequest, signer: Signer): Promise<Uint8Array> {
  return sign(IssuancePermit.prepareRoot(request), request.publicKey.keyIdHex, signer)
}

/** The certificate of an issuing authority below `root`, DER. @see X5-11..X5-14 */
export function signIssuing(request: AuthorityRequest, root: CertificateView, signer: Signer): Promise<Uint8Array> {
  const rootId = Buffer.from(root.subjectKeyId ?? []).toString("hex")
  return sign(IssuancePermit.prepareIssuing(root, request), rootId, signer)
}

/** The certificate by which `issuer`, an earlier root, vouches for `root`, DER. @see PRF-11 */
export function signCross(
  request: CrossRequest,
  root: CertificateView,
  issuer: CertificateView,
  signer: Signer,
): Promise<Uint8Array> {
  const issuerId = Buffer.from(issuer.subjectKeyId ?? []).toString("hex")
  return sign(IssuancePermit.prepareCross(root, issuer, request), issuerId, signer)
}

async function sign(permit: IssuancePermit, authorityId: string, signer: Signer): Promise<Uint8Array> {
  const tbs = permit.redeem(authorityId)
  const certificate = assembleCertificate(tbs, await signer.sign(tbs, "der"))
  parseCertificate(certificate) // what we publish, our own strict reader can read
  return certificate
}
