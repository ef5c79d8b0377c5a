import type { Instant } from "../time.ts"
import {
  type AuthorityRequest,
  type CrossRequest,
  encodeCrossTbs,
  encodeIssuingTbs,
  encodeRootTbs,
} from "./authority-template.ts"
import type { CertificateView } from "./certificate.ts"
import type { LeafRequest, LeafTemplate } from "./leaf-template.ts"
import { lintCrossTbs, lintIssuingTbs, lintLeafTbs, lintRootTbs } from "./lint.ts"
import type { Serial } from "./serial.ts"

/**
 * Proof that these exact bytes passed the profile lint for one authority. Redeemable once. What the log needs can be read
 * before; the array it gets is the array that is signed, so nobody may write to it. @see INV-02 INV-03 PRF-05
 */
export class IssuancePermit {
  /** Hex of the key identifier of the authority that may sign. */
  readonly authorityId: string
  readonly serial: Serial
  readonly notBefore: Instant
  readonly notAfter: Instant
  readonly tbs: Uint8Array
  #redeemed = false

  private constructor(authorityId: string, tbs: Uint8Array, request: LeafRequest | CrossRequest) {
    this.authorityId = authorityId
    this.tbs = tbs
    this.serial = request.serial
    this.notBefore = request.notBefore
    this.notAfter = request.notAfter
  }

  /** A leaf. @throws ProfileViolation */
  static prepare(template: LeafTemplate, request: LeafRequest): IssuancePermit {
    const tbs = template.encodeTbs(request)
    lintLeafTbs(tbs, request, template)
    return new IssuancePermit(template.authorityId, tbs, request)
  }

  /** A self-signed root. @throws ProfileViolation */
  static prepareRoot(request: AuthorityRequest): IssuancePermit {
    const tbs = encodeRootTbs(request)
    lintRootTbs(tbs, request)
    return new IssuancePermit(request.publicKey.keyIdHex, tbs, request)
  }

  /** An issuing authority below `root`. @throws ProfileViolation */
  static prepareIssuing(root: CertificateView, request: AuthorityRequest): IssuancePermit {
    const tbs = encodeIssuingTbs(request, root)
    lintIssuingTbs(tbs, request, root)
    return new IssuancePermit(Buffer.from(root.subjectKeyId ?? []).toString("hex"), tbs, request)
  }

  /** A certificate of `root` by `issuer`, an earlier one. @throws ProfileViolation */
  static prepareCross(root: CertificateView, issuer: CertificateView, request: CrossRequest): IssuancePermit {
    const tbs = encodeCrossTbs(request, root, issuer)
    lintCrossTbs(tbs, request, root, issuer)
    return new IssuancePermit(Buffer.from(issuer.subjectKeyId ?? []).toString("hex"), tbs, request)
  }

  /**
   * The bytes to sign, once, for the authority that they name as issuer. @throws RangeError for another authority
   * @throws TypeError the second time
   */
  redeem(authorityId: string): Uint8Array {
    if (authorityId !== this.authorityId) throw new RangeError("issuance permit is for another authority")
    if (this.#redeemed) throw new TypeError("issuance permit already redeemed")
    this.#redeemed = true
    return this.tbs
  }
}
