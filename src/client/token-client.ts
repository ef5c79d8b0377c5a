import { IdentityError, toIdentityError } from "../core/errors.ts"
import { type JsonObject, parseJsonObject } from "../core/json.ts"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../core/oauth/urns.ts"
import type { Instant } from "../core/time.ts"
import type { Clock } from "../ports/clock.ts"
import { type Fetch, fetchBounded } from "./bounded-fetch.ts"
import { fetchIssuerMetadata } from "./issuer-metadata.ts"
import type { JwtSource } from "./jwt-source.ts"
import { readTokenEndpointError } from "./token-endpoint-error.ts"

/** What a token is to be good for. */
export interface TokenTarget {
  /** Names of the services that are to accept it. One of `audience` and `resource` must be given. */
  readonly audience?: string | readonly string[] | undefined
  /** The same as absolute URIs. (RFC 8707) */
  readonly resource?: string | readonly string[] | undefined
  /** Of an access token alone: an SVID has none, and the endpoint refuses to make one with it. */
  readonly scope?: readonly string[] | undefined
  /** What is to be issued. Default: an access token. */
  readonly product?: "access-token" | "jwt-svid" | undefined
}

/** A token that another token is asked for with. */
export interface TypedToken {
  readonly token: string
  /** `jwt`: a JWT-SVID, or a Kubernetes service-account token. */
  readonly type: "jwt" | "access-token" | "id-token"
}

export interface IssuedToken {
  /** A credential: keep it out of logs. */
  readonly token: string
  /** How to show it: `Bearer`, or `N_A` for what is no access token. */
  readonly type: string
  readonly expiresAt: Instant
  /** What was granted; `undefined` when it is what was asked for. */
  readonly scopes: readonly string[] | undefined
}

/** Asks a token endpoint; nothing is kept. Both throw TokenEndpointError for a refusal; `not-ready`, `deadline` or `cancelled` for no answer. */
export interface TokenClient {
  clientCredentials(target: TokenTarget, signal: AbortSignal): Promise<IssuedToken>
  /** RFC 8693. @param actor who will act for the subject in the new token */
  exchange(
    target: TokenTarget,
    subject: TypedToken,
    actor: TypedToken | undefined,
    signal: AbortSignal,
  ): Promise<IssuedToken>
}

export interface TokenClientTerms {
  readonly issuer: string
  /** `undefined`: the one that discovery names. */
  readonly tokenEndpoint: string | undefined
  readonly clientId: string | undefined
  /** `undefined`: the client certificate that `fetch` shows says who asks. */
  readonly jwtSource: Pick<JwtSource, "fetch"> | undefined
  readonly fetch: Fetch
}

/** @see CLT-20 CLT-21 */
export function makeTokenClient(terms: TokenClientTerms, clock: Pick<Clock, "now">): TokenClient {
  let found = terms.tokenEndpoint
  const endpoint = async (signal: AbortSignal): Promise<string> => {
    found ??= (await fetchIssuerMetadata(terms.fetch, terms.issuer, signal)).tokenEndpoint
    if (found === undefined) throw new IdentityError("unsupported", "the issuer has no token endpoint")
    return found
  }
  const ask = async (grant: FormFields, target: TokenTarget, signal: AbortSignal): Promise<IssuedToken> => {
    const url = await endpoint(signal)
    const body = encodeForm([...grant, ...targetFields(target), ...(await clientFields(terms, signal))])
    const asked = clock.now()
    const { status, headers, text } = await fetchBounded(
      terms.fetch,
      url,
      { method: "POST", headers: FORM, body },
      signal,
    )
    if (status !== 200) throw readTokenEndpointError(status, parseAnswer(text), headers.get("retry-after"))
    return readIssuedToken(parseAnswer(text), asked)
  }
  return {
    clientCredentials: (target, signal) => ask([["grant_type", GRANT_TYPES.client_credentials]], target, signal),
    exchange: (target, subject, actor, signal) => {
      const fields: FormFields = [
        ["grant_type", GRANT_TYPES["token-exchange"]],
        ...typedFields("subject_token", subject),
        ...(actor === undefined ? [] : typedFields("actor_token", actor)),
      ]
      return ask(fields, target, signal)
    },
  }
}

/** The assertion is for the issuer and for nobody else. @see SCA-01 SCA-02 */
async function clientFields({ jwtSource, issuer, clientId }: TokenClientTerms, signal: AbortSignal) {
  const svid = await jwtSource?.fetch(issuer, { spiffeId: clientId, signal })
  const id = clientId ?? svid?.spiffeId
  const fields: FormField[] = id === undefined ? [] : [["client_id", id]]
  if (svid !== undefined) {
    fields.push(["client_assertion_type", ASSERTION_TYPES.jwtSpiffe], ["client_assertion", svid.token])
  }
  return fields
}

function targetFields({ audience, resource, scope, product }: TokenTarget): FormFields {
  const many = (name: string, values: string | readonly string[] | undefined): FormFields =>
    [values ?? []].flat().map((value) => [name, value])
  return [
    ...many("audience", audience),
    ...many("resource", resource),
    ...many("scope", scope === undefined || scope.length === 0 ? undefined : scope.join(" ")),
    ...many("requested_token_type", product === "jwt-svid" ? TOKEN_TYPES.jwt : undefined),
  ]
}

function typedFields(name: "subject_token" | "actor_token", { token, type }: TypedToken): FormFields {
  return [
    [name, token],
    [`${name}_type`, TYPES[type]],
  ]
}

function encodeForm(fields: FormFields): string {
  return new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString()
}

function parseAnswer(text: string): JsonObject | undefined {
  try {
    return parseJsonObject(text)
  } catch (thrown) {
    if (toIdentityError(thrown).code === "malformed") return undefined
    throw thrown
  }
}

function readIssuedToken(answer: JsonObject | undefined, asked: Instant): IssuedToken {
  const { access_token: token, token_type: type, expires_in: life, scope } = answer ?? {}
  const isWhole = typeof token === "string" && token !== "" && typeof type === "string"
  if (!isWhole || typeof life !== "number" || !(life > 0)) {
    throw new IdentityError("internal", "the token endpoint answered without token, type or lifetime")
  }
  const scopes = typeof scope === "string" ? scope.split(" ").filter((one) => one !== "") : undefined
  return { token, type, expiresAt: asked + Math.floor(life), scopes }
}

type FormField = readonly [name: string, value: string]
type FormFields = readonly FormField[]
const TYPES = {
  jwt: TOKEN_TYPES.jwt,
  "access-token": TOKEN_TYPES.accessToken,
  "id-token": TOKEN_TYPES.idToken,
} as const
const FORM = { accept: "application/json", "content-type": "application/x-www-form-urlencoded" }
