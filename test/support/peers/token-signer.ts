import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto"

/** The key with which a cluster signs service-account tokens, kept so that tests can make tokens no cluster would. */
export class TokenSigner {
  readonly #privateKey: KeyObject
  readonly privateKeyPem: string
  readonly publicKeyPem: string
  /** As the API server derives it from the public key. */
  readonly kid: string

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    this.#privateKey = privateKey
    this.privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString()
    this.publicKeyPem = publicKey.export({ type: "spki", format: "pem" }).toString()
    const der = publicKey.export({ type: "spki", format: "der" })
    this.kid = createHash("sha256").update(der).digest("base64url")
  }

  /** A compact JWS over any claims, RS256. `header` is laid over the usual one. */
  sign(claims: Readonly<Record<string, unknown>>, header: Readonly<Record<string, unknown>> = {}): string {
    const input = [{ alg: "RS256", kid: this.kid, ...header }, claims].map(encode).join(".")
    return `${input}.${sign("sha256", Buffer.from(input), this.#privateKey).toString("base64url")}`
  }
}

/** The claims of a token, unchecked. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"))
  if (typeof claims !== "object" || claims === null) throw new TypeError("the token has no claims")
  return { ...claims }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url")
}
