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

export function makeJwtKey(algorithm: "ES256" | "RS256" = "ES256"): JwtKey {
  const pair =
    algorithm === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 })
  const jwk = publicJwk(pair.publicKey.export({ format: "der", type: "spki" }))
  const authority: JwtAuthority = { kid: thumbprint(jwk), algorithm, jwk }
  const { privateKey } = pair
  return {
    authority,
    privateKey,
    token: (payload, header = {}) => {
      const input = `${part({ alg: algorithm, kid: authority.kid, ...header })}.${part(payload)}`
      const signature = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" })
      return `${input}.${signature.toString("base64url")}`
    },
  }
}

function part(value: object | string): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")
}

/** The public key of an authority. */
export function spkiOf({ jwk }: JwtAuthority): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: "jwk" })
}
