import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Confirmation } from "../../core/jose/access-token.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { TypedToken } from "../../core/oauth/token-request.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { ClusterTrust } from "../attest/cluster-trust.ts"
import type { ProveAccessToken } from "../attest/prove-access-token.ts"
import type { ExternalIssuer, ProveExternalToken } from "../attest/prove-external-token.ts"
import type { ProveJwtSvid } from "../attest/prove-jwt-svid.ts"
import type { ProveKubeToken } from "../attest/prove-kube-token.ts"
import type { ProvenToken } from "../attest/proven-token.ts"
import { issuerOf } from "./authenticate-client.ts"

export interface ProveSubjectDeps {
  readonly proveJwtSvid: ProveJwtSvid
  readonly proveKubeToken: ProveKubeToken
  readonly proveAccessToken: ProveAccessToken
  readonly proveExternalToken: ProveExternalToken
  readonly clusters: () => readonly ClusterTrust[]
  readonly externalIssuers: () => readonly ExternalIssuer[]
  /** Whether access tokens for `audience` are meant for `holder`. */
  readonly holdsAudience: (holder: SpiffeId, audience: string) => boolean
  readonly issuer: string
}

/** What the request itself proves, beside the token. */
export interface RequestProof {
  /** Who sends it; `undefined`: it did not authenticate. */
  readonly caller: SpiffeId | undefined
  /** Keys whose possession it proves. */
  readonly dpop: string | undefined
  readonly x5t: string | undefined
}

/**
 * Prove whom a subject token, actor token or assertion is about. A bound token needs a proof of its key in the same request.
 * @throws IdentityError `unauthenticated` whatever is wrong with the token @see TX-02 TX-10 TX-15 JOS-12
 */
export type ProveSubject = (token: TypedToken, proof: RequestProof, signal: AbortSignal) => Promise<ProvenToken>

export function makeProveSubject(deps: ProveSubjectDeps): ProveSubject {
  return async (token, proof, signal) => {
    const proven = await proveByType(deps, token, proof, signal)
    requirePossession(proven.confirmation, proof)
    return proven
  }
}

/**
 * The error of a token that is not the client's credential, as its grant reports it: `invalid_request` in an exchange,
 * `invalid_grant` for an assertion. Reason and message stay. @see TX-04 JB-03
 */
export async function asGrantError<T>(code: "malformed" | "grant-expired-or-replayed", prove: Promise<T>): Promise<T> {
  try {
    return await prove
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (!OF_THE_TOKEN.has(error.code)) throw error
    const reason = error.reason ?? "token-invalid"
    throw new IdentityError(code, error.message, { reason, cause: error })
  }
}

function proveByType(
  deps: ProveSubjectDeps,
  { text, type }: TypedToken,
  { caller }: RequestProof,
  signal: AbortSignal,
): Promise<ProvenToken> {
  if (type === "access-token") {
    const holds = (audience: string) =>
      audience === deps.issuer || (caller !== undefined && deps.holdsAudience(caller, audience))
    return deps.proveAccessToken(text, ({ aud }) => aud.some(holds))
  }
  const issuer = issuerOf(text)
  const external = deps.externalIssuers().find((one) => one.issuer === issuer)
  if (external !== undefined) return deps.proveExternalToken(text, external, signal)
  if (type === "id-token") throw requestRefusal("token-invalid")
  if (deps.clusters().some((cluster) => cluster.issuer === issuer)) {
    return deps.proveKubeToken(text, undefined, signal)
  }
  const names = caller === undefined ? [deps.issuer] : [deps.issuer, caller]
  return deps.proveJwtSvid(text, (audience) => names.some((name) => audience.includes(name)))
}

function requirePossession(confirmation: Confirmation | undefined, { dpop, x5t }: RequestProof): void {
  if (confirmation === undefined) return
  const proven = confirmation.kind === "dpop" ? confirmation.jkt === dpop : confirmation.x5t === x5t
  if (!proven) throw requestRefusal("proof-of-possession-missing")
}

const OF_THE_TOKEN: ReadonlySet<IdentityError["code"]> = new Set([
  "malformed",
  "unauthenticated",
  "attestation-denied",
  "no-identity",
  "policy-denied",
])
