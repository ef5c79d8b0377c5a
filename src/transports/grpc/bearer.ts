import type { Metadata } from "@grpc/grpc-js"
import { IdentityError } from "../../core/errors.ts"

/**
 * The bearer token of a call: exactly one `authorization` value, scheme `Bearer` in any case.
 * @param maxBytes longest token that is looked at
 * @throws IdentityError `unauthenticated`
 */
export function bearerToken(metadata: Pick<Metadata, "get">, maxBytes: number): string {
  const values = metadata.get("authorization")
  const value = values[0]
  if (values.length !== 1 || typeof value !== "string") {
    throw new IdentityError("unauthenticated", "send one authorization header with a bearer token", {
      reason: "token-missing",
    })
  }
  const token = /^Bearer ([!-~]+)$/i.exec(value)?.[1]
  if (token === undefined) {
    throw new IdentityError("unauthenticated", "authorization header is not a bearer token", {
      reason: "token-missing",
    })
  }
  return boundedToken(token, maxBytes)
}

/** @throws IdentityError `unauthenticated` */
export function boundedToken(token: string, maxBytes: number): string {
  if (token.length <= maxBytes) return token
  throw new IdentityError("unauthenticated", `token is longer than ${maxBytes} bytes`, { reason: "token-too-long" })
}
