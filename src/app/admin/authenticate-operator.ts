import { type AdminCaller, callerText } from "../../core/admin/caller.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { saysAccessToken } from "../../core/jose/access-token.ts"
import { parseClaimsObject } from "../../core/jose/compact.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import type { ProveAccessToken } from "../attest/prove-access-token.ts"
import type { ExternalIssuer, ProveExternalToken } from "../attest/prove-external-token.ts"
import type { ProvenCertificate, ProveX509Svid } from "../attest/prove-x509-svid.ts"
import type { ProvenToken } from "../attest/proven-token.ts"
import { refuseAs } from "../attest/token-refused.ts"
import { bannedError } from "../ban/banned.ts"
import type { DenyToken } from "../ban/deny-token.ts"
import { issuerOf } from "../exchange/authenticate-client.ts"

export interface AuthenticateOperatorDeps {
  readonly proveX509Svid: ProveX509Svid
  readonly proveExternalToken: ProveExternalToken
  /** Whose tokens operators may show. One issuer may stand here more than once, with other claims. */
  readonly issuers: () => readonly ExternalIssuer[]
  /** Access tokens of our own that are for `audience` alone; `undefined`: none is accepted. */
  readonly accessTokens: () => { readonly prove: ProveAccessToken; readonly audience: string } | undefined
  readonly deny: DenyToken
}

/** What a request shows of its sender. */
export interface OperatorCredentials {
  /** Of the handshake, DER, leaf first; empty for none. */
  readonly chain: readonly Uint8Array[]
  /** `undefined`: none was sent. Where one is sent, it alone says who asks. */
  readonly token: string | undefined
}

/** Told who somebody is as soon as that is proven, also when he is refused later on. @see ADM-26 */
export type TellProven = (who: string) => void

/**
 * Who asks the remote admin API: the holder of an X.509-SVID, or of a token of an issuer that is configured for this, or of an
 * access token of our own for this very audience. Bound tokens need the certificate that they are bound to.
 * @throws IdentityError `unauthenticated` with a reason; `policy-denied`, reason `banned`; `attestor-down` @see ADM-16 ADM-17 ADM-18
 */
export type AuthenticateOperator = (
  shown: OperatorCredentials,
  proven: TellProven,
  signal: AbortSignal,
) => Promise<AdminCaller>

export function makeAuthenticateOperator(deps: AuthenticateOperatorDeps): AuthenticateOperator {
  return async (shown, proven, signal) => {
    try {
      return await authenticate(deps, shown, proven, signal)
    } catch (thrown) {
      throw withNextStep(toIdentityError(thrown))
    }
  }
}

async function authenticate(
  deps: AuthenticateOperatorDeps,
  { chain, token }: OperatorCredentials,
  proven: TellProven,
  signal: AbortSignal,
): Promise<AdminCaller> {
  if (token !== undefined) return byToken(deps, { token, chain }, proven, signal)
  if (chain.length === 0) {
    throw new IdentityError("unauthenticated", "show an X.509-SVID in the handshake, or send a bearer token", {
      reason: "credentials-missing",
    })
  }
  const { principal } = await proveShown(deps, chain, proven)
  return { kind: "spiffe", id: principal.facts.id, proof: "x509-svid" }
}

/** Whoever the certificate itself says. */
async function proveShown(
  { proveX509Svid }: AuthenticateOperatorDeps,
  chain: readonly Uint8Array[],
  proven: TellProven = () => undefined,
): Promise<ProvenCertificate> {
  const [uri = ""] = refuseAs("client-certificate-invalid", () => {
    return parseCertificate(chain[0] ?? new Uint8Array()).uriNames
  })
  try {
    return await proveX509Svid(chain, uri)
  } catch (thrown) {
    // Bans are looked at when the rest is proven.
    if (toIdentityError(thrown).reason === "banned") proven(`x509-svid:${uri}`)
    throw thrown
  }
}

async function byToken(
  deps: AuthenticateOperatorDeps,
  { token, chain }: { readonly token: string; readonly chain: readonly Uint8Array[] },
  proven: TellProven,
  signal: AbortSignal,
): Promise<AdminCaller> {
  const own = deps.accessTokens()
  if (own !== undefined && saysAccessToken(token)) {
    const callerOf = (id: SpiffeId) => ({ kind: "spiffe", id, proof: "access-token" }) as const
    const shown = await own.prove(
      token,
      ({ aud }) => aud.length === 1 && aud[0] === own.audience,
      ({ sub }) => proven(callerText(callerOf(sub))),
    )
    await requireSelf(shown, () => proveShown(deps, chain))
    return callerOf(shown.principal.facts.id)
  }
  const { id } = (await proveOutside(deps, token, proven, signal)).principal.facts
  const caller = { kind: "spiffe", id, proof: "external-token" } as const
  proven(callerText(caller))
  // It is not known when the ban of an outside token's holder would have found it: it counts while the ban does.
  const shown = { tokenId: undefined, subjects: [id], issuedAt: Number.POSITIVE_INFINITY }
  if (await deps.deny(shown)) throw bannedError()
  return caller
}

/** By the first entry of its issuer whose claims fit. */
async function proveOutside(
  deps: AuthenticateOperatorDeps,
  token: string,
  proven: TellProven,
  signal: AbortSignal,
): Promise<ProvenToken> {
  const issuer = issuerOf(token)
  let refused: IdentityError = requestRefusal("token-invalid")
  for (const entry of deps.issuers().filter((one) => one.issuer === issuer)) {
    try {
      return await deps.proveExternalToken(token, tellingVerified(entry, proven), signal)
    } catch (thrown) {
      refused = toIdentityError(thrown)
      // The signature is good: another entry may know these claims.
      if (refused.reason !== "token-identity-missing" && refused.reason !== "token-audience-mismatch") break
    }
  }
  throw refused
}

/** Once the signature is good, issuer and subject are known, whatever else is wrong. */
function tellingVerified(entry: ExternalIssuer, proven: TellProven): ExternalIssuer {
  const verify: ExternalIssuer["keys"]["verify"] = async (jws, signal) => {
    await entry.keys.verify(jws, signal)
    const { sub } = parseClaimsObject(jws.payloadBytes)
    const subject = typeof sub === "string" ? sub.slice(0, MAX_SUBJECT) : ""
    proven(`external-token:${JSON.stringify([entry.issuer, subject])}`)
  }
  return { ...entry, keys: { verify } }
}

/** Nobody operates in the name of another, nor with a token whose key he does not show. @see MT-03 */
async function requireSelf(
  { actors, confirmation }: ProvenToken,
  shown: () => Promise<ProvenCertificate>,
): Promise<void> {
  if (actors.length > 0) throw requestRefusal("token-invalid")
  if (confirmation === undefined) return
  const bound = confirmation.kind === "mtls" && confirmation.x5t === (await shown()).x5t
  if (!bound) throw requestRefusal("proof-of-possession-missing")
}

/** Characters. */
const MAX_SUBJECT = 256

/** What an operator can do about it. */
function withNextStep(error: IdentityError): IdentityError {
  const known = NEXT_STEPS.get(error.reason ?? "")
  if (known === undefined || error.code !== "unauthenticated") return error
  const { message = error.message, next } = known
  return new IdentityError(error.code, message, { reason: error.reason ?? error.code, next, cause: error })
}

const NEXT_STEPS: ReadonlyMap<string, { readonly message?: string; readonly next: string }> = new Map([
  ["credentials-missing", { next: "assay --svid-dir, --workload-api or --token-file" }],
  [
    "client-certificate-invalid",
    { next: "use a current X.509-SVID of this trust domain, or of one federated with it" },
  ],
  [
    "token-audience-mismatch",
    {
      message: "the token is not for the admin API",
      next: "get one for an audience of admin.issuers, or for admin.audience alone",
    },
  ],
  [
    "token-identity-missing",
    {
      message: "the token's claims name no operator",
      next: "compare them with required_claims and spiffe_id of admin.issuers",
    },
  ],
  ["token-invalid", { next: "its iss must be one of admin.issuers, and a key of that issuer must have signed it" }],
  ["token-delegated", { next: "get one of your own: nobody operates in the name of another" }],
  ["token-expired", { next: "get a new token" }],
  ["token-revoked", { next: "get a new token" }],
  ["proof-of-possession-missing", { next: "send it over a connection with the certificate that it is bound to" }],
])
