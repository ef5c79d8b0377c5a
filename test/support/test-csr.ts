import { sign } from "node:crypto"
import { encodeBitString, encodeDer, encodeSequence, TAG } from "../../src/core/x509/der.ts"
import { encodeName } from "../../src/core/x509/names.ts"
import { encodeOid } from "../../src/core/x509/oid.ts"
import { encodeSignatureAlgorithm, type SignatureAlgorithm } from "../../src/core/x509/signature-algorithm.ts"
import { makeKeyPair, type TestKeyPair } from "./test-ca.ts"

export interface TestCsrOptions {
  readonly keyPair?: TestKeyPair
  /** Name, DER. */
  readonly subject?: Uint8Array
  /** Attributes, DER; see {@link encodeAttribute}. */
  readonly attributes?: readonly Uint8Array[]
  readonly algorithm?: SignatureAlgorithm
  /** Key that signs in place of the right one. */
  readonly signer?: TestKeyPair
  readonly version?: number
}

/** A certification request, DER, with any content. */
export function makeTestCsr(options: TestCsrOptions = {}): Uint8Array {
  const keys = options.keyPair ?? makeKeyPair()
  const info = encodeSequence(
    encodeDer(TAG.integer, Uint8Array.of(options.version ?? 0)),
    options.subject ?? encodeName({ commonName: "ignored" }),
    keys.publicKey.spki,
    encodeDer(0xa0, ...(options.attributes ?? [])),
  )
  const signature = sign("sha256", info, (options.signer ?? keys).privateKey)
  const algorithm = encodeSignatureAlgorithm(options.algorithm ?? "ecdsa-sha256")
  return encodeSequence(info, algorithm, encodeBitString(signature))
}

export function encodeAttribute(oid: string, ...values: readonly Uint8Array[]): Uint8Array {
  return encodeSequence(encodeOid(oid), encodeDer(TAG.set, ...values))
}
