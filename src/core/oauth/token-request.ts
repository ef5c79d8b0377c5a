import { IdentityError } from "../errors.ts"
import { isAudience, MAX_AUDIENCES } from "../jose/audience.ts"
import { decodeBase64url } from "../jose/compact.ts"
import type { TokenGrantType, TokenProduct } from "../policy/token-question.ts"
import type { Form } from "./form.ts"
import { requestRefusal } from "./request-refusal.ts"
import { GRANT_TYPES, TOKEN_TYPES } from "./urns.ts"

/** A request to `/token` whose parameters are in order; nothing in it is proven. */
export interface TokenRequest {
  readonly grant: RequestedGrant
  readonly product: RequestedProduct
  /** `audience` and `resource` together, not empty, none twice. */
  readonly audiences: readonly string[]
  readonly scopes: readonly string[] | undefined
  /** Names of parameters that are not known here, `?` for one that could be a secret in the wrong place. For the audit log. @see CC-02 AUD-07 */
  readonly ignored: readonly string[]
}

export type RequestedGrant =
  | { readonly type: "client_credentials" }
  | { readonly type: "jwt-bearer"; readonly assertion: string }
  | { readonly type: "token-exchange"; readonly subject: TypedToken; readonly actor: TypedToken | undefined }

export interface TypedToken {
  readonly text: string
  readonly type: "access-token" | "id-token" | "jwt"
}

export type RequestedProduct =
  | { readonly kind: "access-token" | "jwt-svid" }
  /** DER of a PKCS#10 request. */
  | { readonly kind: "x509-svid"; readonly csr: Uint8Array }

/** Parameters that may be repeated. @see CC-02 TX-01 */
export const REPEATABLE: ReadonlySet<string> = new Set(["audience", "resource"])

/**
 * Read a token request. @param trustDomainId the target of an X.509-SVID, which may name no other
 * @throws IdentityError with a `RequestReason` @see CC-02 CC-03 TX-01 TX-02 JB-02 RES-01 RAR-01
 */
export function parseTokenRequest(form: Form, trustDomainId: string): TokenRequest {
  const grantType = form.one("grant_type")
  if (grantType === undefined) throw requestRefusal("grant-type-missing")
  const type = grantNamed(grantType)
  if (form.one("authorization_details") !== undefined) throw requestRefusal("authorization-details-unsupported")
  for (const name of form.names) {
    const only = OF_ONE_GRANT.get(name)
    if (only !== undefined && only !== type) throw requestRefusal("parameter-not-allowed")
  }
  const product = parseProduct(form)
  const audiences = parseTargets(form)
  const isX509 = product.kind === "x509-svid"
  if (isX509 && audiences.some((audience) => audience !== trustDomainId)) throw requestRefusal("target-malformed")
  if (audiences.length === 0 && !isX509) throw requestRefusal("target-missing")
  return {
    grant: parseGrant(type, form),
    product,
    audiences: isX509 ? [trustDomainId] : audiences,
    scopes: parseScopes(form.one("scope")),
    ignored: form.names.filter((name) => !KNOWN.has(name)).map((name) => (PLAIN_NAME.test(name) ? name : "?")),
  }
}

/** @throws IdentityError `scope-denied` @see CC-04 */
export function parseScopes(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined
  const scopes = text.split(" ")
  const isDistinct = scopes.length === 1 || new Set(scopes).size === scopes.length
  const valid = isDistinct && scopes.every((scope) => SCOPE.test(scope))
  if (!valid || scopes.length > MAX_SCOPES) throw requestRefusal("scope-malformed")
  return scopes
}

function grantNamed(text: string): TokenGrantType {
  const found = GRANTS.find((grant) => GRANT_TYPES[grant] === text)
  if (found === undefined) throw requestRefusal("grant-type-unsupported")
  return found
}

function parseGrant(type: TokenGrantType, form: Form): RequestedGrant {
  switch (type) {
    case "client_credentials":
      return { type }
    case "jwt-bearer":
      return { type, assertion: required(form, "assertion") }
    case "token-exchange":
      return { type, subject: parseTypedToken(form, "subject_token"), actor: parseActor(form) }
    default:
      return type satisfies never
  }
}

function parseActor(form: Form): TypedToken | undefined {
  const given = ["actor_token", "actor_token_type"].filter((name) => form.one(name) !== undefined)
  return given.length === 0 ? undefined : parseTypedToken(form, "actor_token")
}

function parseTypedToken(form: Form, name: "subject_token" | "actor_token"): TypedToken {
  const text = required(form, name)
  const type = TYPED.get(required(form, `${name}_type`))
  if (type === undefined) throw requestRefusal("token-type-unsupported")
  return { text, type }
}

function parseProduct(form: Form): RequestedProduct {
  const requested = form.one("requested_token_type") ?? TOKEN_TYPES.accessToken
  const kind = PRODUCTS.get(requested)
  if (kind === undefined) throw requestRefusal("token-type-unsupported")
  if (kind !== "access-token" && form.one("scope") !== undefined) throw requestRefusal("parameter-not-allowed")
  const csr = form.one("csr")
  if (kind !== "x509-svid") {
    if (csr !== undefined) throw requestRefusal("parameter-not-allowed")
    return { kind }
  }
  if (csr === undefined) throw requestRefusal("csr-missing")
  return { kind, csr: decodeCsr(csr) }
}

function decodeCsr(text: string): Uint8Array {
  try {
    return decodeBase64url(text)
  } catch (cause) {
    if (cause instanceof IdentityError) throw requestRefusal("parameter-invalid", cause)
    throw cause
  }
}

function parseTargets(form: Form): readonly string[] {
  const resources = form.all("resource")
  const audiences = form.all("audience")
  const isOne = audiences.length === 1 && resources.length === 0
  const targets = isOne ? audiences : [...new Set([...audiences, ...resources])]
  if (targets.length > MAX_AUDIENCES || !targets.every(isAudience)) {
    throw requestRefusal("target-malformed")
  }
  if (resources.some((resource) => !isResource(resource))) throw requestRefusal("target-malformed")
  return targets
}

/** An absolute URI without fragment. It is kept as it was written. @see RES-01 */
function isResource(text: string): boolean {
  return SCHEME.test(text) && !text.includes("#") && URL.canParse(text)
}

function required(form: Form, name: string): string {
  const value = form.one(name)
  if (value === undefined) throw requestRefusal("parameter-missing")
  return value
}

const GRANTS = ["client_credentials", "token-exchange", "jwt-bearer"] as const satisfies readonly TokenGrantType[]
const TYPED: ReadonlyMap<string, TypedToken["type"]> = new Map([
  [TOKEN_TYPES.accessToken, "access-token"],
  [TOKEN_TYPES.idToken, "id-token"],
  [TOKEN_TYPES.jwt, "jwt"],
])
const PRODUCTS: ReadonlyMap<string, TokenProduct> = new Map<string, TokenProduct>([
  [TOKEN_TYPES.accessToken, "access-token"],
  [TOKEN_TYPES.jwt, "jwt-svid"],
  [TOKEN_TYPES.x509Svid, "x509-svid"],
])
/** Parameters that mean something with one grant; with another one they are refused, not dropped. @see INV-19 */
const OF_ONE_GRANT: ReadonlyMap<string, TokenGrantType> = new Map([
  ["subject_token", "token-exchange"],
  ["subject_token_type", "token-exchange"],
  ["actor_token", "token-exchange"],
  ["actor_token_type", "token-exchange"],
  ["assertion", "jwt-bearer"],
])
const KNOWN: ReadonlySet<string> = new Set([
  ...OF_ONE_GRANT.keys(),
  "grant_type",
  "audience",
  "resource",
  "scope",
  "requested_token_type",
  "csr",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
])
/** As every registered parameter is named, and hardly any secret. */
const PLAIN_NAME = /^[a-z_]{1,40}$/
/** RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/
const MAX_SCOPES = 64
