import { createHash, createPublicKey } from "node:crypto"
import { parseTrustDomain } from "../spiffe/id.ts"
import { assembleCertificate } from "./assemble.ts"
import { encodeRootTbs } from "./authority-template.ts"
import { encodeDer, encodeSequence } from "./der.ts"
import { parsePublicKey, type SubjectPublicKey } from "./public-key.ts"
import { parseSerial } from "./serial.ts"

/**
 * The certificate of a root below which nobody can sign, for who refuses a list of roots that is empty. Its key is the first point of
 * P-256 whose x is SHA-256 over {@link SEED} and a count: nobody has drawn a private key for it, ourselves included. Its
 * signature verifies under no key. Always the same bytes. @see SDS-22
 */
export function nobodyRoot(): Uint8Array {
  made ??= makeRoot()
  return made
}

let made: Uint8Array | undefined

function makeRoot(): Uint8Array {
  const tbs = encodeRootTbs({
    serial: parseSerial("01".repeat(19)),
    trustDomain: parseTrustDomain("nobody.invalid"),
    subject: { commonName: "nobody: trust was withdrawn" },
    publicKey: nobodysKey(),
    notBefore: 0,
    notAfter: Date.UTC(9999, 0) / 1000,
  })
  const one = encodeDer(INTEGER, Uint8Array.of(1))
  return assembleCertificate(tbs, encodeSequence(one, one))
}

/** Each second x is that of a point, so a few tries do. */
export function nobodysKey(): SubjectPublicKey {
  for (let count = 0; count < 256; count++) {
    const x = createHash("sha256").update(`${SEED}${count}`).digest()
    const point = pointAt(x)
    if (point !== undefined) return parsePublicKey(point)
  }
  throw new RangeError("no point was found")
}

/** SubjectPublicKeyInfo; `undefined`: there is no such point. */
function pointAt(x: Uint8Array): Uint8Array | undefined {
  try {
    const key = Buffer.concat([P256_COMPRESSED, x])
    const { x: left = "", y = "" } = createPublicKey({ key, format: "der", type: "spki" }).export({ format: "jwk" })
    const uncompressed = createPublicKey({ key: { kty: "EC", crv: "P-256", x: left, y }, format: "jwk" })
    return uncompressed.export({ format: "der", type: "spki" })
  } catch {
    return undefined
  }
}

const SEED = "assay: a root below which nobody can sign, "
const INTEGER = 0x02
/** SubjectPublicKeyInfo of P-256 up to the x of a compressed point whose y is even. */
const P256_COMPRESSED = Buffer.from("3039301306072a8648ce3d020106082a8648ce3d03010703220002", "hex")
