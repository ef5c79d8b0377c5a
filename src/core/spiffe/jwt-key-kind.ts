import type { JwsAlgorithm } from "../jose/algorithm.ts"

/** Kinds of public keys that a bundle may hold for JWT-SVIDs, each with the algorithm that it is taken for. Others are passed over. */
export const JWT_KEY_KINDS = [
  { kty: "EC", crv: "P-256", algorithm: "ES256", members: ["kty", "crv", "x", "y"] },
  { kty: "EC", crv: "P-384", algorithm: "ES384", members: ["kty", "crv", "x", "y"] },
  { kty: "EC", crv: "P-521", algorithm: "ES512", members: ["kty", "crv", "x", "y"] },
  { kty: "RSA", crv: undefined, algorithm: "RS256", members: ["kty", "n", "e"] },
] as const satisfies readonly {
  readonly kty: string
  readonly crv: string | undefined
  readonly algorithm: JwsAlgorithm
  readonly members: readonly string[]
}[]

export type JwtKeyKind = (typeof JWT_KEY_KINDS)[number]
