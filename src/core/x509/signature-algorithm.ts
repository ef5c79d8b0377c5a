import { equalBytes } from "../bytes.ts"
import { encodeDer, encodeSequence, TAG } from "./der.ts"
import type { DerReader } from "./der-reader.ts"
import { encodeOid, OID } from "./oid.ts"
import { malformed } from "./refusal.ts"

/** Kinds of keys that may stand in an SVID. RSA is of 2048 to 4096 bits. */
export type SubjectKeyAlgorithm = "ec-p256" | "ec-p384" | "rsa"

/** Signatures we can verify. We make only those that {@link signatureAlgorithmFor} yields. */
export type SignatureAlgorithm = (typeof ALGORITHMS)[number]["name"]

/** The signature that a key of this kind makes. */
export function signatureAlgorithmFor(key: SubjectKeyAlgorithm): SignatureAlgorithm {
  return SIGNATURE_OF_KEY[key]
}

/** Name of the hash, as node:crypto has it. */
export function digestOf(algorithm: SignatureAlgorithm): "sha256" | "sha384" | "sha512" {
  return byName(algorithm).digest
}

/** True when a key of this kind can have made such a signature. */
export function fitsKey(algorithm: SignatureAlgorithm, key: SubjectKeyAlgorithm): boolean {
  return byName(algorithm).family === (key === "rsa" ? "rsa" : "ecdsa")
}

/** AlgorithmIdentifier. */
export function encodeSignatureAlgorithm(algorithm: SignatureAlgorithm): Uint8Array {
  return byName(algorithm).der
}

/** Read an AlgorithmIdentifier that must be one we can verify. @throws IdentityError `malformed` */
export function readSignatureAlgorithm(reader: DerReader): SignatureAlgorithm {
  const algorithm = decodeSignatureAlgorithm(reader.element(TAG.sequence))
  if (algorithm === undefined) throw malformed("signature-algorithm", "signature algorithm is not allowed")
  return algorithm
}

/** The algorithm of an encoded AlgorithmIdentifier; `undefined` for one that we do not verify. */
export function decodeSignatureAlgorithm(element: Uint8Array): SignatureAlgorithm | undefined {
  return ALGORITHMS.find(({ der }) => equalBytes(der, element))?.name
}

function byName(name: SignatureAlgorithm): (typeof ALGORITHMS)[number] {
  const found = ALGORITHMS.find((algorithm) => algorithm.name === name)
  if (found === undefined) throw new TypeError("unknown signature algorithm")
  return found
}

// RFC 5758: ECDSA has no parameters. RFC 4055: RSA has NULL.
const ecdsa = (oid: string): Uint8Array => encodeSequence(encodeOid(oid))
const rsa = (oid: string): Uint8Array => encodeSequence(encodeOid(oid), encodeDer(TAG.null))

const ALGORITHMS = [
  { name: "ecdsa-sha256", family: "ecdsa", digest: "sha256", der: ecdsa(OID.ecdsaWithSha256) },
  { name: "ecdsa-sha384", family: "ecdsa", digest: "sha384", der: ecdsa(OID.ecdsaWithSha384) },
  { name: "ecdsa-sha512", family: "ecdsa", digest: "sha512", der: ecdsa(OID.ecdsaWithSha512) },
  { name: "rsa-sha256", family: "rsa", digest: "sha256", der: rsa(OID.sha256WithRsa) },
  { name: "rsa-sha384", family: "rsa", digest: "sha384", der: rsa(OID.sha384WithRsa) },
  { name: "rsa-sha512", family: "rsa", digest: "sha512", der: rsa(OID.sha512WithRsa) },
] as const

const SIGNATURE_OF_KEY = {
  "ec-p256": "ecdsa-sha256",
  "ec-p384": "ecdsa-sha384",
  rsa: "rsa-sha256",
} as const satisfies Record<SubjectKeyAlgorithm, SignatureAlgorithm>
