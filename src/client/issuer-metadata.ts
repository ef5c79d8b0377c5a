import { IdentityError } from "../core/errors.ts"
import { type JsonObject, parseJsonObject } from "../core/json.ts"
import { type Fetch, fetchBounded } from "./bounded-fetch.ts"

/** What discovery says of an issuer, as far as it is used here. */
export interface IssuerMetadata {
  readonly jwksUri: string
  /** `undefined`: it issues no tokens by request. */
  readonly tokenEndpoint: string | undefined
}

/**
 * Fetch the OIDC discovery document of an issuer, which must name exactly this issuer.
 * @throws IdentityError `not-ready` when it cannot be had or is another's; else as {@link fetchBounded} @see DISC-01 DISC-03
 */
export async function fetchIssuerMetadata(fetch: Fetch, issuer: string, signal: AbortSignal): Promise<IssuerMetadata> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`
  const document = parseDocument(url, await fetchDocument(fetch, url, signal))
  if (document["issuer"] !== issuer) throw notReady(`${url} is the document of another issuer`)
  const { jwks_uri: jwksUri, token_endpoint: tokenEndpoint } = document
  if (typeof jwksUri !== "string") throw notReady(`${url} names no jwks_uri`)
  return { jwksUri, tokenEndpoint: typeof tokenEndpoint === "string" ? tokenEndpoint : undefined }
}

/** GET a document. @throws IdentityError `not-ready` for every status but 200; else as {@link fetchBounded} */
export async function fetchDocument(fetch: Fetch, url: string, signal: AbortSignal): Promise<string> {
  const { status, text } = await fetchBounded(fetch, url, { method: "GET", headers: ACCEPT }, signal)
  if (status !== 200) throw notReady(`${url} answered with status ${status}`)
  return text
}

function parseDocument(url: string, text: string): JsonObject {
  try {
    return parseJsonObject(text)
  } catch (cause) {
    throw notReady(`${url} is no JSON object`, cause)
  }
}

function notReady(message: string, cause?: unknown): IdentityError {
  return new IdentityError("not-ready", message, { cause })
}

const ACCEPT = { accept: "application/json" }
