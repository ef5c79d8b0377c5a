import { importJWK, jwtVerify } from "jose"
import type { JsonRecord } from "./token-server.ts"

/** What a relying party sees: a token, and what the issuer publishes. */
export interface RelyingView {
  readonly token: string
  readonly header: JsonRecord
  readonly claims: JsonRecord
  readonly keys: readonly JsonRecord[]
  readonly discovery: JsonRecord
  /** The audience that it is configured with. */
  readonly audience: string
}

export type PartyName = "aws" | "gcp" | "entra" | "vault" | "kube-apiserver"

/** The ids of the rules of a party that refuse a token; empty when it is accepted. */
export async function refusalsOf(party: PartyName, view: RelyingView): Promise<readonly string[]> {
  const broken: string[] = []
  for (const [id, holds] of Object.entries({ ...COMMON, ...PARTIES[party] })) {
    if (!(await holds(view))) broken.push(id)
  }
  return broken
}

type Rule = (view: RelyingView) => boolean | Promise<boolean>

/** What all of them ask for. */
const COMMON: Readonly<Record<string, Rule>> = {
  signature: ({ token, keys, header }) => verifies(token, keys, header),
  discovery: ({ discovery, claims }) => discovery["issuer"] === claims["iss"] && isHttps(claims["iss"]),
  audience: ({ claims, audience }) => [claims["aud"]].flat().includes(audience),
}

/** The rules of tokens.md 13, each as its party applies it. */
const PARTIES: Readonly<Record<PartyName, Readonly<Record<string, Rule>>>> = {
  aws: {
    "AWS-01": ({ header }) => /^(RS|ES)(256|384|512)$/.test(String(header["alg"])),
    "AWS-02": ({ claims }) =>
      ["iss", "sub", "aud"].every((name) => claims[name] !== undefined) &&
      ["iat", "exp"].every((name) => Number.isInteger(claims[name])) &&
      (audiences(claims).length === 1 || claims["azp"] !== undefined),
    "AWS-03": ({ header, keys }) =>
      typeof header["kid"] === "string" &&
      keys.every((key) => typeof key["kid"] === "string" && key["key_ops"] === undefined && key["x5c"] === undefined) &&
      keys.every((key) => key["use"] !== "enc") &&
      keys.filter((key) => key["kty"] === "RSA").length <= 100,
    "AWS-04": ({ discovery }) => isHttps(discovery["issuer"]) && isHttps(discovery["jwks_uri"]),
  },
  gcp: {
    "GCP-01": ({ keys }) =>
      keys.every((key) => Object.keys(key).every((name) => UPLOADABLE.has(name)) && key["use"] === "sig"),
    "GCP-02": ({ header, claims }) =>
      ["RS256", "ES256"].includes(String(header["alg"])) && Number(claims["exp"]) - Number(claims["iat"]) <= 86_400,
    "GCP-03": ({ claims }) => audiences(claims).every((one) => one.length <= 256),
    "GCP-04": ({ claims }) => Buffer.byteLength(String(claims["sub"])) <= 127,
  },
  entra: {
    "ENT-01": ({ header }) => header["alg"] === "RS256",
    "ENT-02": ({ claims, keys }) =>
      audiences(claims).length === 1 &&
      ["iss", "sub"].every((name) => String(claims[name]).length <= 600) &&
      audiences(claims).every((one) => one.length <= 600) &&
      keys.length <= 100,
  },
  vault: {
    "VLT-01": ({ claims, keys }) =>
      typeof claims["sub"] === "string" && typeof claims["exp"] === "number" && keys.length > 0,
  },
  "kube-apiserver": {
    "KAS-01": ({ header, claims }) =>
      /^(RS|ES|PS)(256|384|512)$/.test(String(header["alg"])) &&
      String(claims["sub"]).startsWith("spiffe://prod.example/") &&
      claims["cnf"] === undefined,
    "KAS-02": ({ claims }) =>
      typeof claims["jti"] === "string" && Number(claims["exp"]) - Number(claims["nbf"]) <= 86_400,
  },
}

async function verifies(token: string, keys: readonly JsonRecord[], header: JsonRecord): Promise<boolean> {
  const key = keys.find(({ kid }) => kid === header["kid"])
  if (key === undefined) return false
  const algorithms = [String(key["alg"])]
  return jwtVerify(token, await importJWK({ ...key }), { algorithms }).then(
    () => true,
    () => false,
  )
}

function audiences(claims: JsonRecord): readonly string[] {
  return [claims["aud"]].flat().map(String)
}

function isHttps(url: unknown): boolean {
  return URL.parse(String(url))?.protocol === "https:"
}

const UPLOADABLE: ReadonlySet<string> = new Set(["kty", "alg", "use", "kid", "n", "e", "x", "y", "crv"])
