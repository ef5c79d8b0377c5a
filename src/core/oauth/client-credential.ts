import type { Form } from "./form.ts"
import { requestRefusal } from "./request-refusal.ts"
import { ASSERTION_TYPES } from "./urns.ts"

/** The one way in which a client authenticates in a request. Nothing of it is proven. */
export type ClientCredential =
  | { readonly kind: "spiffe-jwt"; readonly assertion: string; readonly clientId: string | undefined }
  /** Signed with a registered key, or by a cluster: the claims tell. */
  | { readonly kind: "jwt-bearer"; readonly assertion: string; readonly clientId: string | undefined }
  /** A certificate was shown in the handshake. */
  | { readonly kind: "certificate"; readonly clientId: string }
  /** Nothing that authenticates. */
  | { readonly kind: "none"; readonly clientId: string | undefined }

/** What of a request can authenticate a client. */
export interface CredentialSources {
  readonly form: Form
  /** `Authorization` header: client secrets are not offered, so any is refused. */
  readonly authorization: string | undefined
  /** The handshake brought a client certificate. */
  readonly hasCertificate: boolean
}

/**
 * Find how the client authenticates. A certificate counts when the request has `client_id` and nothing else that
 * authenticates; beside an assertion it is not looked at. @throws IdentityError with a `RequestReason` @see CC-07 MT-02 SCA-01 SCA-05
 */
export function findClientCredential({ form, authorization, hasCertificate }: CredentialSources): ClientCredential {
  const clientId = form.one("client_id")
  const type = form.one("client_assertion_type")
  const assertion = form.one("client_assertion")
  const methods = [authorization, form.one("client_secret"), assertion ?? type].filter((one) => one !== undefined)
  if (methods.length > 1) throw requestRefusal("client-authentication-repeated")
  if (authorization !== undefined || form.one("client_secret") !== undefined) {
    throw requestRefusal("client-authentication-unsupported")
  }
  if (assertion === undefined && type === undefined) {
    return hasCertificate && clientId !== undefined ? { kind: "certificate", clientId } : { kind: "none", clientId }
  }
  if (assertion === undefined || type === undefined) throw requestRefusal("parameter-missing")
  if (type === ASSERTION_TYPES.jwtSpiffe) return { kind: "spiffe-jwt", assertion, clientId }
  if (type === ASSERTION_TYPES.jwtBearer) return { kind: "jwt-bearer", assertion, clientId }
  throw requestRefusal("client-authentication-unsupported")
}
