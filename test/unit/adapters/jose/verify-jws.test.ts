import { rejects } from "node:assert/strict"
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { test } from "node:test"
import { makeJwsVerifier } from "../../../../src/adapters/jose/verify-jws.ts"
import { JWS_ALGORITHMS, type JwsAlgorithm } from "../../../../src/core/jose/algorithm.ts"
import { type CompactJws, parseCompactJws } from "../../../../src/core/jose/compact.ts"
import type { VerificationKey } from "../../../../src/ports/jws.ts"

const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 })
const KEYS = {
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  ES512: generateKeyPairSync("ec", { namedCurve: "P-521" }),
}
const verifier = makeJwsVerifier()
const keyUnknown = { code: "unauthenticated", reason: "key-unknown" }
const signatureInvalid = { code: "unauthenticated", reason: "signature-invalid" }

function pairOf(alg: JwsAlgorithm): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return alg === "ES256" || alg === "ES384" || alg === "ES512" ? KEYS[alg] : RSA
}

function keyOf(
  algorithm: JwsAlgorithm,
  kid: string | undefined,
  publicKey = pairOf(algorithm).publicKey,
): VerificationKey {
  const jwk = Object.entries(publicKey.export({ format: "jwk" })).map(([name, value]) => [name, String(value)])
  return { kid, algorithm, jwk: Object.fromEntries(jwk) }
}

function signedWith(alg: JwsAlgorithm, kid: string | undefined, privateKey = pairOf(alg).privateKey): CompactJws {
  const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const input = `${b64({ alg, kid })}.${b64({ a: 1 })}`
  const padding = alg.startsWith("PS") ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const ec = { key: privateKey, dsaEncoding: "ieee-p1363" } as const
  const rsa = { key: privateKey, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  const signature = sign(`sha${alg.slice(2)}`, Buffer.from(input), alg.startsWith("ES") ? ec : rsa)
  return parseCompactJws(`${input}.${signature.toString("base64url")}`, { algorithms: JWS_ALGORITHMS, types: [] })
}

for (const alg of JWS_ALGORITHMS) {
  test(`verifies ${alg} by kid, and without kid on either side`, async () => {
    await verifier.verify(signedWith(alg, "k"), [keyOf(alg, "k")])
    await verifier.verify(signedWith(alg, undefined), [keyOf(alg, "k")])
    await verifier.verify(signedWith(alg, "k"), [keyOf(alg, undefined)])
  })

  test(`refuses ${alg} over other bytes`, async () => {
    const jws = { ...signedWith(alg, "k"), signingInput: signedWith(alg, "other").signingInput }
    await rejects(verifier.verify(jws, [keyOf(alg, "k")]), signatureInvalid)
  })
}

test("[JOS-01] a key is used with its own algorithm only", async () => {
  await rejects(verifier.verify(signedWith("PS256", "k"), [keyOf("RS256", "k")]), keyUnknown)
  await rejects(verifier.verify(signedWith("RS512", "k"), [keyOf("RS256", "k")]), keyUnknown)
})

test("an algorithm that a key claims but its curve is not for makes it no key", async () => {
  const mislabelled = { ...keyOf("ES384", "k"), algorithm: "ES256" } as const
  await rejects(verifier.verify(signedWith("ES256", "k"), [mislabelled]), keyUnknown)
})

test("[JOS-05] another kid is no candidate, even with the right key", async () => {
  await rejects(verifier.verify(signedWith("ES256", "k"), [keyOf("ES256", "K")]), keyUnknown)
  await rejects(verifier.verify(signedWith("ES256", "__proto__"), [keyOf("ES256", "k")]), keyUnknown)
  await rejects(verifier.verify(signedWith("ES256", "k"), []), keyUnknown)
})

test("of several candidates any may verify, of which at most 8 are tried", async () => {
  const strangers = Array.from({ length: 8 }, () =>
    keyOf("ES256", "k", generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey),
  )
  const right = keyOf("ES256", "k")
  await verifier.verify(signedWith("ES256", "k"), [...strangers.slice(1), right])
  await rejects(verifier.verify(signedWith("ES256", "k"), [...strangers, right]), signatureInvalid)
})

test("an RSA key of 1024 bits is no key, although its signature verifies", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 })
  await rejects(verifier.verify(signedWith("RS256", "k", privateKey), [keyOf("RS256", "k", publicKey)]), keyUnknown)
})

test("an RSA key with another exponent than 65537 is no key, although its signature verifies", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 })
  await rejects(verifier.verify(signedWith("RS256", "k", privateKey), [keyOf("RS256", "k", publicKey)]), keyUnknown)
})

test("an RSA key with exponent 1, under which every padded digest is its own signature, is no key", async () => {
  const key = keyOf("RS256", "k")
  await rejects(verifier.verify(signedWith("RS256", "k"), [{ ...key, jwk: { ...key.jwk, e: "AQ" } }]), keyUnknown)
})

test("an EC key off its curve is no key", async () => {
  const key = keyOf("ES256", "k")
  await rejects(
    verifier.verify(signedWith("ES256", "k"), [{ ...key, jwk: { ...key.jwk, y: key.jwk["x"] ?? "" } }]),
    keyUnknown,
  )
})
