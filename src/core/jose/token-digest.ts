import { hash } from "node:crypto"

/** SHA-256 of a token as lowercase hex: the key under which it is remembered, and its name in records. */
export function digestToken(token: string): string {
  return hash("sha256", token, "hex")
}

/** What {@link digestToken} gave as bytes, in memory of its own: it is kept, and a pool would be with it. */
export function digestBytes(digest: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(digest, "hex"))
}

/** SHA-256 of the token that `signature` makes of `input` (`header.payload`): what the issuance log keeps of it. */
export function digestSigned(input: Uint8Array, signature: Uint8Array): Uint8Array {
  const sealed = Buffer.from(signature.buffer, signature.byteOffset, signature.byteLength).toString("base64url")
  const token = Buffer.allocUnsafe(input.length + 1 + sealed.length)
  token.set(input)
  token[input.length] = DOT
  token.write(sealed, input.length + 1, "latin1")
  return Buffer.from(hash("sha256", token, "hex"), "hex") // of the pool; a digest as bytes has memory of its own
}

const DOT = 0x2e
