import { hash } from "node:crypto"

/** SHA-256 of a token as lowercase hex: the key under which it is remembered, and its name in records. */
export function digestToken(token: string): string {
  return hash("sha256", token, "hex")
}
