import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { publicJwk, thumbprint } from "../../src/core/jose/jwk.ts"
import type { JwtAuthority } from "../../src/core/spiffe/bundle.ts"

/** A JWT authority of a test, with its private half. */
export interface JwtKey {
  readonly authority: JwtAuthority
  readonly privateKey: KeyObject
  /** Sign any header and payload; `header` is completed with `alg` and `kid`, which it may override. */
  token(payload: object | string, header?: object): string
}

export function makeJwtKey(algorithm: JwtAuthority["algorithm"] = "ES256"): JwtKey {
  const pair =
    algorithm === "RS256"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: CURVES[algorithm] })
  const jwk = publicJwk(pair.publicKey.export({ format: "der", type: "spki" }))
  const authority: JwtAuthority = { kid: thumbprint(jwk), algorithm, jwk }
  const { privateKey } = pair
  return {
    authority,
    privateKey,
    token: (payload, header = {}) => {
      const input = `${part({ alg: algorithm, kid: authority.kid, ...header })}.${part(payload)}`
      const signature = sign(`sha${algorithm.slice(2)}`, Buffer.from(input), {
        key: privateKey,
        dsaEncoding: "ieee-p1363",
      })
      return `${input}.${signature.toString("base64url")}`
    },
  }
}

function part(value: object | string): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")
}

const CURVES = { ES256: "P-256", ES384: "P-384", ES512: "P-521" } as const

/** The public key of an authority. */
export function spkiOf({ jwk }: JwtAuthority): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: "jwk" })
}
