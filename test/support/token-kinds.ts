import { randomUUID } from "node:crypto"
import type { JwtKey } from "./jwt-key.ts"

/** Every kind of signed token that somebody could send to a verifier of ours. */
export const TOKEN_KINDS = [
  "platform token",
  "JWT-SVID",
  "federated JWT-SVID",
  "access token",
  "client assertion",
  "outside token",
  "DPoP proof",
  "introspection answer",
] as const
export type TokenKind = (typeof TOKEN_KINDS)[number]

/** Who signs what; of each, the test holds the private half. */
export interface TokenKeys {
  readonly own: JwtKey
  readonly federated: JwtKey
  readonly cluster: JwtKey
  readonly client: JwtKey
  readonly outside: JwtKey
  readonly proof: JwtKey
}

/** A good token in parts; `jti` is new each time. */
export interface TokenParts {
  readonly key: JwtKey
  readonly claims: Readonly<Record<string, unknown>> & { readonly aud: string; readonly exp: number }
  readonly header: Readonly<Record<string, unknown>>
}

/** A token of this kind that its verifiers accept, made for the server. */
export function tokenParts(kind: TokenKind, keys: TokenKeys, now: number): TokenParts {
  const base = { aud: ISSUER, iat: now - 10, exp: now + 200, jti: randomUUID() }
  const svid = { typ: "JWT" }
  switch (kind) {
    case "platform token":
      return { key: keys.cluster, header: {}, claims: { ...base, ...platformClaims(), aud: "assay" } }
    case "JWT-SVID":
      return { key: keys.own, header: svid, claims: { ...base, sub: WEB } }
    case "federated JWT-SVID":
      return { key: keys.federated, header: svid, claims: { ...base, sub: AWAY } }
    case "access token":
      return { key: keys.own, header: { typ: "at+jwt" }, claims: { ...base, iss: ISSUER, sub: WEB, client_id: WEB } }
    case "client assertion":
      return {
        key: keys.client,
        header: { typ: "client-authentication+jwt" },
        claims: { ...base, iss: CLIENT_ID, sub: CLIENT_ID },
      }
    case "outside token":
      return {
        key: keys.outside,
        header: svid,
        claims: { ...base, iss: CI, sub: "repo:site", repository: "acme/site" },
      }
    case "DPoP proof":
      return {
        key: keys.proof,
        header: { typ: "dpop+jwt", kid: undefined, jwk: keys.proof.authority.jwk },
        claims: { ...base, sub: WEB, htm: "POST", htu: `${ISSUER}/token`, iat: now },
      }
    case "introspection answer":
      return {
        key: keys.own,
        header: { typ: "token-introspection+jwt" },
        claims: { ...base, iss: ISSUER, sub: WEB, client_id: WEB, token_introspection: { active: true } },
      }
    default:
      return kind satisfies never
  }
}

function platformClaims() {
  const pod = { name: "web-0", uid: "0000-pod" }
  const serviceaccount = { name: "web", uid: "0000-sa" }
  const bound = { namespace: "shop", pod, serviceaccount, node: { name: "n1", uid: "0000-node" } }
  return { iss: KUBE, sub: "system:serviceaccount:shop:web", "kubernetes.io": bound }
}

export const ISSUER = "https://assay.example"
/** Whatever is for it may operate. */
export const ADMIN_AUDIENCE = "https://assay.example/admin"
export const KUBE = "https://kube.example"
export const CI = "https://ci.example"
export const CLIENT_ID = "billing"
export const WEB = "spiffe://prod.example/ns/shop/sa/web"
export const AWAY = "spiffe://other.example/app"
