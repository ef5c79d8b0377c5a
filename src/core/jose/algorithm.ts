/** Signature algorithms that any part of Assay verifies: asymmetric ones only. @see JW-02 JOS-01 JOS-02 */
export type JwsAlgorithm = (typeof JWS_ALGORITHMS)[number]

export const JWS_ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const

/** Length of an ECDSA signature in JOSE form, r and s of fixed width. @see JOS-03 */
export const ECDSA_SIGNATURE_BYTES: Readonly<Partial<Record<JwsAlgorithm, number>>> = {
  ES256: 64,
  ES384: 96,
  ES512: 132,
}
