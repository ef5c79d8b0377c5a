import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { describe, test } from "node:test"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { parseJwksDocument } from "../../src/adapters/kube/jwks-document.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import { JWS_ALGORITHMS } from "../../src/core/jose/algorithm.ts"
import { parseCompactJws } from "../../src/core/jose/compact.ts"
import { verifyInPool } from "../../src/core/x509/signature.ts"
import type { SignatureAlgorithm } from "../../src/core/x509/signature-algorithm.ts"
import { peerFile, skipWithout } from "../support/peers/peer.ts"

interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly result: "valid" | "invalid" | "acceptable"
  readonly flags: readonly string[]
}

interface Vectors<Group, One> {
  readonly testGroups: readonly (Group & { readonly tests: readonly (Vector & One)[] })[]
}

type JwsGroup = { readonly comment: string; readonly public?: Readonly<Record<string, unknown>> }
type SignatureGroup = { readonly publicKeyDer: string }

describe("the vectors of Wycheproof", { skip: await skipWithout("wycheproof") }, () => {
  test("[JOS-01][JOS-03][ATT-18] no JWS that must be refused is accepted, by whatever key set it comes with, and good ones of our algorithms are", async () => {
    const { testGroups } = await vectors<JwsGroup, { readonly jws: unknown }>("json_web_signature_test.json")
    const verifier = makeJwsVerifier()
    const wrong: string[] = []
    const seen = { accepted: 0, refused: 0 }
    for (const { comment, public: key, tests } of testGroups) {
      const isOurs = JWS_ALGORITHMS.some((algorithm) => algorithm === key?.["alg"])
      for (const { tcId, comment: what, result, jws } of tests) {
        const outcome = await outcomeOf(async () => {
          const keys = parseJwksDocument(JSON.stringify({ keys: key === undefined ? [] : [key] }))
          const text = typeof jws === "string" ? jws : JSON.stringify(jws)
          await verifier.verify(parseCompactJws(text, { algorithms: JWS_ALGORITHMS, types: ["JWT", "JOSE"] }), keys)
        })
        seen[outcome]++
        const mayRefuse = !isOurs || what in REFUSED
        const isRight = result === "valid" ? outcome === "accepted" || mayRefuse : outcome === "refused"
        if (!isRight) wrong.push(`${tcId} ${comment}: ${what} is ${result}, but ${outcome}`)
      }
    }
    assert.deepEqual(wrong, [])
    assert.ok(seen.accepted > 30 && seen.refused > 300, JSON.stringify(seen))
  })

  for (const [file, algorithm, count] of [
    ["ecdsa_secp256r1_sha256_test.json", "ecdsa-sha256", 400],
    ["ecdsa_secp384r1_sha384_test.json", "ecdsa-sha384", 400],
    ["rsa_signature_2048_sha256_test.json", "rsa-sha256", 200],
  ] as const satisfies readonly (readonly [string, SignatureAlgorithm, number])[]) {
    test(`[JOS-03] signatures of certificates by ${algorithm}`, async () => {
      const { testGroups } = await vectors<SignatureGroup, { readonly msg: string; readonly sig: string }>(file)
      const wrong: string[] = []
      let judged = 0
      for (const { publicKeyDer, tests } of testGroups) {
        for (const { tcId, comment, result, msg, sig } of tests.filter((one) => one.result !== "acceptable")) {
          const [spki, data, signature] = [publicKeyDer, msg, sig].map((hex) => Buffer.from(hex, "hex"))
          if (!spki || !data || !signature) throw new RangeError("not three parts")
          const verdict = await verifyInPool(spki, data, signature, algorithm)
          if ((verdict === "valid") !== (result === "valid"))
            wrong.push(`${tcId} ${comment}: ${result}, but ${verdict}`)
          judged++
        }
      }
      assert.deepEqual(wrong, [])
      assert.ok(judged > count, String(judged))
    })
  }
})

async function vectors<Group, One>(file: string): Promise<Vectors<Group, One>> {
  return JSON.parse(await readFile(await peerFile("wycheproof", file), "utf8"))
}

/** Refused in one of our own ways; everything else is a failure. */
async function outcomeOf(read: () => Promise<void>): Promise<"accepted" | "refused"> {
  try {
    await read()
    return "accepted"
  } catch (thrown) {
    const { code } = toIdentityError(thrown)
    assert.ok(["malformed", "unauthenticated"].includes(code), String(thrown))
    return "refused"
  }
}

/** Good signatures that we refuse. */
const REFUSED: Readonly<Record<string, string>> = {
  Figure20: "RFC 7520 signs with PS384 by a key whose alg is PS256 here",
}
