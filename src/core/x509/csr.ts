import { TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { walkDer } from "./der-walk.ts"
import { readExtensions } from "./extension-reader.ts"
import { checkName } from "./names.ts"
import { OID } from "./oid.ts"
import { provePublicKey, type SubjectPublicKey } from "./public-key.ts"
import { malformed } from "./refusal.ts"
import { type VerifySignature, verifyInPool } from "./signature.ts"
import {
  fitsKey,
  readSignatureAlgorithm,
  type SignatureAlgorithm,
  signatureAlgorithmFor,
} from "./signature-algorithm.ts"

/**
 * A certification request, reduced to a key and its proof of possession. What else it asks for is not even kept: the
 * subject of a certificate comes from attestation and rules. @see INV-08
 */
export interface Csr {
  /** SubjectPublicKeyInfo, DER. Not yet checked against the key policy. */
  readonly spki: Uint8Array
  /** The bytes that were signed. */
  readonly info: Uint8Array
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Uint8Array
}

/** Largest request that any door takes. */
export const MAX_CSR_BYTES = 8192

/** Read a PKCS#10 request in DER. @throws IdentityError `malformed` @see CSR-04..CSR-07 INV-08 */
export function parseCsr(
  der: Uint8Array,
  { maxBytes }: { readonly maxBytes: number } = { maxBytes: MAX_CSR_BYTES },
): Csr {
  if (der.length > maxBytes) throw malformed("der-size", `request is longer than ${maxBytes} bytes`)
  const request = new DerReader(der).enterLast(TAG.sequence)
  const info = request.element(TAG.sequence)
  const signatureAlgorithm = readSignatureAlgorithm(request)
  const signature = request.bitString()
  request.end()
  return { spki: readInfo(info), info, signatureAlgorithm, signature }
}

/**
 * Check the key against the policy, and the signature against the key. @throws IdentityError `malformed`; reason `signature`
 * when it does not verify, `signature-algorithm` when it cannot be by this key @see CSR-01..CSR-03
 */
export function verifyCsr(csr: Csr, verify: VerifySignature = verifyInPool): Promise<SubjectPublicKey> {
  return provePublicKey(csr.spki, async (spki, algorithm) => {
    if (!fitsKey(csr.signatureAlgorithm, algorithm)) {
      throw malformed("signature-algorithm", "signature of the request is of another kind than its key")
    }
    return await verify(spki, csr.info, csr.signature, csr.signatureAlgorithm)
  })
}

/** A public key with a signature that shows possession of its private half. */
export interface ProvenKey {
  /** SubjectPublicKeyInfo, DER, at most 2048 bytes. */
  readonly publicKey: Uint8Array
  /** Over {@link provenKeyMessage}, with the hash that belongs to the key. */
  readonly proof: Uint8Array
  /** SHA-256 of the token that the proof is bound to. */
  readonly evidenceDigest: Uint8Array
}

/** What the holder of a key signs to prove possession: label, NUL, digest of the token, key. @see KEY-09 */
export function provenKeyMessage(evidenceDigest: Uint8Array, spki: Uint8Array): Uint8Array {
  if (evidenceDigest.length !== DIGEST_OCTETS) throw new RangeError("evidence digest is not of 32 octets")
  return Buffer.concat([PROOF_LABEL, evidenceDigest, spki])
}

/**
 * Check the key against the policy and its proof of possession. @throws IdentityError `malformed`; reason `signature` when the
 * proof does not verify @see KEY-09 INV-09
 */
export function verifyProvenKey(
  { publicKey, proof, evidenceDigest }: ProvenKey,
  verify: VerifySignature = verifyInPool,
): Promise<SubjectPublicKey> {
  return provePublicKey(publicKey, (spki, algorithm) =>
    verify(spki, provenKeyMessage(evidenceDigest, spki), proof, signatureAlgorithmFor(algorithm)),
  )
}

/** Check the CertificationRequestInfo and return its public key. */
function readInfo(element: Uint8Array): Uint8Array {
  const info = new DerReader(element).enter(TAG.sequence)
  if (info.smallInteger() !== 0) throw malformed("csr-version", "request is not of version 1")
  checkName(info.element(TAG.sequence))
  const spki = info.element(TAG.sequence)
  // RFC 2986 has the attributes always there; some writers leave the empty set out.
  if (!info.done) checkAttributes(info.enter(ATTRIBUTES))
  info.end()
  return spki
}

function checkAttributes(attributes: DerReader): void {
  const seen = new Set<string>()
  while (!attributes.done) {
    if (seen.size === MAX_ATTRIBUTES) throw malformed("csr-attributes", "request has more than 8 attributes")
    const attribute = attributes.enter(TAG.sequence)
    const oid = attribute.oid()
    if (seen.has(oid)) throw malformed("csr-attributes", "request has an attribute twice")
    seen.add(oid)
    const values = attribute.element(TAG.set)
    attribute.end()
    walkDer(values)
    if (oid === OID.extensionRequest) checkExtensionRequest(new DerReader(values).enter(TAG.set))
  }
}

function checkExtensionRequest(values: DerReader): void {
  readExtensions(values.enter(TAG.sequence))
  values.end()
}

const ATTRIBUTES = 0xa0
const MAX_ATTRIBUTES = 8
const DIGEST_OCTETS = 32
const PROOF_LABEL = Buffer.from("assay.v1 proof of possession\0", "latin1")
