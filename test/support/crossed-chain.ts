import { randomBytes } from "node:crypto"
import { IssuancePermit } from "../../src/core/x509/permit.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"
import { makeTestCa, signTbs, type TestCa, type TestCaOptions } from "./test-ca.ts"

/** The chain of a server whose root was rotated, made as the server makes it. */
export interface CrossedChain {
  /** DER: leaf, issuing authority, cross-certificates from the nearest on. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly pkcs8: Uint8Array
  /** DER, the first root first. */
  readonly roots: readonly Uint8Array[]
}

export function makeCrossedChain(rotations: number, keys: NonNullable<TestCaOptions["keys"]>): CrossedChain {
  const first = makeTestCa({ keys })
  const authorities = [first]
  const crossed: Uint8Array[] = []
  let last = first
  for (let round = 0; round < rotations; round++) {
    const next = makeTestCa({ keys })
    crossed.unshift(crossSigned(last, next))
    authorities.push(next)
    last = next
  }
  const leaf = last.issueLeaf("spiffe://example.org/assay/server", { dnsNames: ["assay.prod.example"] })
  const roots = authorities.map(({ root }) => root.certificate.der)
  return { chain: [...leaf.chain, ...crossed], pkcs8: leaf.pkcs8, roots }
}

function crossSigned(earlier: TestCa, { root, trustDomain }: TestCa): Uint8Array {
  const [issuer, subject] = [earlier.root.certificate, root.certificate]
  const notBefore = Math.max(issuer.notBefore, subject.notBefore)
  const notAfter = Math.min(issuer.notAfter, subject.notAfter)
  const request = { serial: makeSerial(randomBytes, 1), trustDomain, notBefore, notAfter }
  const permit = IssuancePermit.prepareCross(subject, issuer, request)
  return signTbs(earlier.root, permit.redeem(earlier.root.publicKey.keyIdHex))
}
