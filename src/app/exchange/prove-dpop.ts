import { toIdentityError } from "../../core/errors.ts"
import { isDpopNonce, makeDpopNonce } from "../../core/oauth/dpop-nonce.ts"
import {
  checkDpopTerms,
  DPOP_AGE,
  DPOP_SKEW,
  type ParsedDpopProof,
  parseDpopProof,
} from "../../core/oauth/dpop-proof.ts"
import { dpopRefusal } from "../../core/oauth/dpop-refusal.ts"
import type { Secret } from "../../core/secret.ts"
import type { Instant } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { JwsVerifier } from "../../ports/jws.ts"
import type { ReplayLog } from "../../ports/replay-log.ts"

export type DpopNonceMode = "required" | "optional" | "off"

export interface ProveDpopDeps {
  readonly verifier: JwsVerifier
  readonly replayLog: ReplayLog
  readonly clock: Clock
  /** 32 bytes, the same for all replicas. */
  readonly nonceKey: Secret
  readonly nonce: () => DpopNonceMode
}

/** A key whose possession was shown with this very request, once its proof is spent. */
export interface DpopKey {
  /** RFC 7638 thumbprint, SHA-256, base64url: the value of `cnf.jkt`. */
  readonly jkt: string
  /**
   * Nothing may be given before this resolves, and it writes: so it comes last, when everybody is known. @throws IdentityError
   * `malformed`, reason `dpop-replayed`; `not-ready` or `rate-limited` of the replay log @see DP-04 DP-10
   */
  spend(): Promise<void>
}

/**
 * Prove possession by the values of the request's DPoP headers; `undefined` when it has none. Good for this method and this URL,
 * and once: whoever relies on it spends it. @param url of the endpoint as configured @param accessToken that came with the proof
 * @throws IdentityError `malformed` with a {@link DpopReason} @see DP-01..DP-10
 */
export type ProveDpop = (
  headerValues: readonly string[],
  method: string,
  url: string,
  accessToken: string | undefined,
) => Promise<DpopKey | undefined>

export function makeProveDpop(deps: ProveDpopDeps): ProveDpop {
  return async (headerValues, method, url, accessToken) => {
    const [text, ...others] = headerValues
    if (text === undefined) return undefined
    if (others.length > 0 || text.includes(",")) throw dpopRefusal("dpop-header-repeated")
    const now = deps.clock.now()
    const proof = parseDpopProof(text)
    checkDpopTerms(proof, { method, url, accessToken, now })
    await verifyProof(proof, deps.verifier)
    checkNonce(proof, deps, now)
    return { jkt: proof.jkt, spend: () => spend(proof, deps.replayLog) }
  }
}

/** The nonce to send along with every answer; `undefined` when nonces are off. @see DP-08 */
export function currentDpopNonce(deps: Pick<ProveDpopDeps, "nonce" | "nonceKey" | "clock">): string | undefined {
  return deps.nonce() === "off" ? undefined : makeDpopNonce(deps.nonceKey, deps.clock.now())
}

async function verifyProof({ jws, jwk }: ParsedDpopProof, verifier: JwsVerifier): Promise<void> {
  try {
    await verifier.verify(jws, [{ kid: undefined, algorithm: jws.header.alg, jwk }])
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (error.reason === "key-unknown") throw dpopRefusal("dpop-key-refused", error)
    if (error.reason === "signature-invalid") throw dpopRefusal("dpop-signature-invalid", error)
    throw error
  }
}

function checkNonce({ nonce }: ParsedDpopProof, deps: ProveDpopDeps, now: Instant): void {
  const mode = deps.nonce()
  if (mode === "off" || (mode === "optional" && nonce === undefined)) return
  if (nonce === undefined || !isDpopNonce(nonce, deps.nonceKey, now)) throw dpopRefusal("dpop-nonce-required")
}

/** The key is part of what is spent: else anybody could use up the `jti` of another. */
async function spend({ jkt, jti, issuedAt }: ParsedDpopProof, replayLog: ReplayLog): Promise<void> {
  const [from, until] = [issuedAt - DPOP_SKEW, issuedAt + DPOP_AGE + DPOP_SKEW]
  const outcome = await replayLog.claim({ use: "dpop-proof", id: `${jkt} ${jti}`, from, until })
  if (outcome === "replayed") throw dpopRefusal("dpop-replayed")
}
