import { IdentityError } from "../errors.ts"
import { JWS_ALGORITHMS } from "../jose/algorithm.ts"
import type { JwsProfile } from "../jose/compact.ts"
import { parseAudience, parseNumericDate, parseOptionalNumericDate } from "../jose/registered-claims.ts"
import { isJsonObject, type Json, type JsonObject } from "../json.ts"
import type { ObjectRef } from "../policy/attested.ts"
import type { Instant } from "../time.ts"

/** What a Kubernetes service-account token says. Shape only: whether it is true, and for us, is not decided here. */
export interface ServiceAccountClaims {
  readonly audiences: readonly string[]
  readonly expiresAt: Instant
  readonly notBefore: Instant | undefined
  readonly issuedAt: Instant | undefined
  readonly tokenId: string | undefined
  readonly namespace: string
  readonly serviceAccount: ObjectRef
  readonly pod: ObjectRef | undefined
  /** `undefined` too when the node's UID is not stated: a name alone binds to nothing. */
  readonly node: ObjectRef | undefined
}

/** Header of a service-account token. */
export const SERVICE_ACCOUNT_JWS: JwsProfile = { algorithms: JWS_ALGORITHMS, types: ["JWT"] }

/** Read the claims of a service-account token. Claims that are not named here are ignored. @throws IdentityError `malformed` @see ATT-06 */
export function parseServiceAccountClaims(payload: JsonObject): ServiceAccountClaims {
  const bound = payload["kubernetes.io"]
  if (!isJsonObject(bound)) throw malformed("token has no kubernetes.io claim")
  const namespace = parseName(bound["namespace"], LABEL, "namespace")
  const serviceAccount = parseObjectRef(bound["serviceaccount"], "service account")
  if (payload["sub"] !== serviceAccountUsername(namespace, serviceAccount.name)) {
    throw malformed("claim sub is not the service account of the kubernetes.io claim")
  }
  return {
    audiences: parseAudience(payload["aud"]),
    expiresAt: parseNumericDate(payload["exp"], "exp"),
    notBefore: parseOptionalNumericDate(payload["nbf"], "nbf"),
    issuedAt: parseOptionalNumericDate(payload["iat"], "iat"),
    tokenId: payload["jti"] === undefined ? undefined : parseName(payload["jti"], OPAQUE, "jti"),
    namespace,
    serviceAccount,
    pod: bound["pod"] === undefined ? undefined : parseObjectRef(bound["pod"], "pod"),
    node: parseNode(bound["node"]),
  }
}

/** True for the tokens that lie in Secrets: they never expire, are for no audience and are bound to nothing. @see KC-02 */
export function isLegacyToken(payload: JsonObject): boolean {
  return payload["iss"] === LEGACY_ISSUER || Object.keys(payload).some((name) => name.startsWith(LEGACY_CLAIM))
}

/** The user name that a cluster gives to a service account. */
export function serviceAccountUsername(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`
}

function parseNode(value: Json | undefined): ObjectRef | undefined {
  if (value === undefined) return undefined
  if (isJsonObject(value) && value["uid"] === undefined) {
    parseName(value["name"], SUBDOMAIN, "node")
    return undefined
  }
  return parseObjectRef(value, "node")
}

function parseObjectRef(value: Json | undefined, what: string): ObjectRef {
  if (!isJsonObject(value)) throw malformed(`token has no ${what}`)
  return { name: parseName(value["name"], SUBDOMAIN, what), uid: parseName(value["uid"], OPAQUE, what) }
}

function parseName(value: Json | undefined, shape: RegExp, what: string): string {
  if (typeof value !== "string" || value.length > MAX_NAME || !shape.test(value)) {
    throw malformed(`token has a ${what} that is not valid`)
  }
  return value
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const LEGACY_ISSUER = "kubernetes/serviceaccount"
const LEGACY_CLAIM = "kubernetes.io/serviceaccount/"
const MAX_NAME = 253
/** RFC 1123 label and subdomain, as the API server holds names to them. @see KC-05 */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/
/** UIDs and token ids: UUIDs as a rule, of which nothing is promised. */
const OPAQUE = /^[A-Za-z0-9._-]{1,128}$/
