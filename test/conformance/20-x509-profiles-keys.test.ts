import assert from "node:assert/strict"
import { checkPrimeSync, createHash, generateKeyPairSync, generatePrimeSync, randomBytes, sign } from "node:crypto"
import { test } from "node:test"
import { provenKeyMessage, verifyProvenKey } from "../../src/core/x509/csr.ts"
import { encodeBitString, encodeDer, encodeSequence, encodeUnsigned, TAG } from "../../src/core/x509/der.ts"
import { encodeOid, OID } from "../../src/core/x509/oid.ts"
import { parsePublicKey, refuseBlockedKey } from "../../src/core/x509/public-key.ts"
import { assertRefused, assertRejected } from "../support/refused.ts"
import { makeKeyPair } from "../support/test-ca.ts"

const spkiOf = (namedCurve: string): Buffer =>
  generateKeyPairSync("ec", { namedCurve }).publicKey.export({ format: "der", type: "spki" })
const octets = (n: bigint): Uint8Array =>
  Buffer.from(n.toString(16).padStart(n.toString(16).length + (n.toString(16).length % 2), "0"), "hex")

function rsaSpki(n: bigint, e = 65537n): Uint8Array {
  const key = encodeSequence(encodeUnsigned(octets(n)), encodeUnsigned(octets(e)))
  return encodeSequence(encodeSequence(encodeOid(OID.rsaEncryption), encodeDer(TAG.null)), encodeBitString(key))
}

function modulusOf(bits: number): bigint {
  const { n } = generateKeyPairSync("rsa", { modulusLength: bits }).publicKey.export({ format: "jwk" })
  return BigInt(`0x${Buffer.from(n ?? "", "base64url").toString("hex")}`)
}

function refusesModulus(n: bigint, message: RegExp): void {
  assert.throws(() => parsePublicKey(rsaSpki(n)), { reason: "key-weak", message })
}

const GOOD = modulusOf(2048)

test("[KEY-01] accepts P-256 and P-384 by name and no other curve or kind of key", () => {
  assert.equal(parsePublicKey(spkiOf("P-256")).algorithm, "ec-p256")
  assert.equal(parsePublicKey(spkiOf("P-384")).algorithm, "ec-p384")
  for (const curve of ["P-521", "secp256k1", "secp224r1"]) {
    assertRefused(() => parsePublicKey(spkiOf(curve)), "malformed", "key-curve")
  }
  const explicit = generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" }).publicKey
  assertRefused(() => parsePublicKey(explicit.export({ format: "der", type: "spki" })), "malformed", "key-curve")
  for (const kind of ["ed25519", "x25519"] as const) {
    // The two overloads have no common one.
    const pair = kind === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519")
    assertRefused(() => parsePublicKey(pair.publicKey.export({ format: "der", type: "spki" })), "malformed", "key-type")
  }
})

test("[KEY-02] refuses compressed, infinite and off-curve points, and a second encoding of a key", () => {
  const spki = spkiOf("P-256")
  const algorithm = spki.subarray(2, 23)
  const withPoint = (point: Uint8Array): Uint8Array => encodeSequence(algorithm, encodeBitString(point))
  const compressed = Buffer.concat([Uint8Array.of(2), spki.subarray(27, 59)])
  assertRefused(() => parsePublicKey(withPoint(compressed)), "malformed", "key-point")
  assertRefused(() => parsePublicKey(withPoint(Uint8Array.of(0))), "malformed", "key-point")
  const off = Buffer.from(spki)
  off[90] = (off[90] ?? 0) ^ 1
  assertRefused(() => parsePublicKey(off), "malformed", "key-point")
  assertRefused(() => parsePublicKey(Buffer.concat([spki, Uint8Array.of(0)])), "malformed", "der-trailing")
  const rsa = rsaSpki(GOOD)
  assertRefused(() => parsePublicKey(Buffer.concat([rsa, Uint8Array.of(0)])), "malformed", "der-trailing")
  const withoutNull = encodeSequence(encodeSequence(encodeOid(OID.rsaEncryption)), rsa.subarray(rsa.length - 275))
  assertRefused(() => parsePublicKey(withoutNull), "malformed")
})

test("[KEY-03] accepts RSA keys of 2048 to 4096 bits in whole octets only", () => {
  assert.equal(parsePublicKey(rsaSpki(GOOD)).algorithm, "rsa")
  for (const n of [GOOD >> 8n, GOOD << 1n, (GOOD * GOOD * GOOD) | 1n]) {
    assertRefused(() => parsePublicKey(rsaSpki(n)), "malformed", "key-size")
  }
  assertRefused(() => parsePublicKey(rsaSpki(BigInt(`0x${"f".repeat(4096)}`))), "malformed", "der-size")
})

test("[KEY-04] refuses an RSA exponent other than 65537", () => {
  for (const e of [1n, 2n, 3n, 65536n, 65539n, 2n ** 64n + 1n]) {
    assertRefused(() => parsePublicKey(rsaSpki(GOOD, e)), "malformed", "key-exponent")
  }
})

test("[KEY-05] refuses an RSA modulus with a factor up to 751", () => {
  for (const prime of [2n, 3n, 541n, 751n]) refusesModulus(GOOD - (GOOD % prime), /small factor/)
})

test("[KEY-06] refuses an RSA modulus with the ROCA fingerprint", () => {
  const primes = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
  ]
  primes.push(107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)
  const primorial = primes.reduce((product, prime) => product * BigInt(prime), 1n)
  const all = Array.from({ length: 750 }, (_, i) => BigInt(i + 2))
  let power = 65537n ** 12345n % primorial
  power += primorial * ((1n << 2047n) / primorial + 1n)
  while (all.some((d) => power % d === 0n)) power += primorial
  refusesModulus(power, /broken generator/)
})

test("[KEY-07] refuses an RSA modulus of two close factors", () => {
  const p = generatePrimeSync(1024, { bigint: true })
  let q = p + 2n
  while (!checkPrimeSync(q)) q += 2n
  refusesModulus(p * q, /too close/)
})

test("[KEY-08] refuses a blocked key", () => {
  const key = makeKeyPair().publicKey
  refuseBlockedKey(key, new Set([makeKeyPair().publicKey.keyIdHex]))
  assertRefused(() => refuseBlockedKey(key, new Set([key.keyIdHex])), "malformed", "key-blocked")
})

test("[KEY-09] takes a bare key only with a proof over label, token digest and key", async () => {
  const evidenceDigest = createHash("sha256").update("token").digest()
  for (const kind of ["p256", "p384", "rsa"] as const) {
    const { publicKey, privateKey } = makeKeyPair(kind)
    const message = provenKeyMessage(evidenceDigest, publicKey.spki)
    assert.equal(Buffer.from(message).subarray(0, 29).toString("latin1"), "assay.v1 proof of possession\0")
    const proof = sign(kind === "p384" ? "sha384" : "sha256", message, privateKey)
    const proven = await verifyProvenKey({ publicKey: publicKey.spki, proof, evidenceDigest })
    assert.equal(proven.keyIdHex, publicKey.keyIdHex)
    const refused = [
      { publicKey: publicKey.spki, proof, evidenceDigest: randomBytes(32) },
      { publicKey: makeKeyPair(kind).publicKey.spki, proof, evidenceDigest },
      { publicKey: publicKey.spki, proof: new Uint8Array(), evidenceDigest },
    ]
    for (const attempt of refused) await assertRejected(verifyProvenKey(attempt), "malformed", "signature")
  }
})
