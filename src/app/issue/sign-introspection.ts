import type { AuditEvent } from "../../core/audit/event.ts"
import { NOBODY } from "../../core/ban/ban-index.ts"
import { sealJwtSvid } from "../../core/jose/jwt-svid.ts"
import { makeTokenId } from "../../core/jose/token-id.ts"
import type { JsonObject } from "../../core/json.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignIntent } from "../../ports/intent-signer.ts"
import type { Random } from "../../ports/random.ts"
import { issueAcrossEmergency } from "./hear-of-emergencies.ts"
import type { IssueTokenDeps } from "./issue-token.ts"

export interface SignIntrospectionDeps extends Pick<IssueTokenDeps, "keyFor" | "issuer" | "epoch"> {
  readonly signIntent: SignIntent
  readonly clock: Clock
  readonly random: Random
}

/**
 * Sign what is said about a token, for the caller alone; `event` is committed together with the intent. It is no token: its type
 * is refused wherever one is accepted. @see INT-03 JOS-12
 */
export type SignIntrospection = (
  answer: JsonObject,
  caller: Principal,
  event: AuditEvent,
  signal: AbortSignal,
) => Promise<string>

export function makeSignIntrospection(deps: SignIntrospectionDeps): SignIntrospection {
  return (answer, caller, event, signal) => issueAcrossEmergency(() => sign(deps, answer, caller, event, signal))
}

async function sign(
  deps: SignIntrospectionDeps,
  ...[answer, caller, event, signal]: Parameters<SignIntrospection>
): Promise<string> {
  const epoch = deps.epoch() // no later than the key @see ROT-76
  const { kid, signer } = await deps.keyFor("ES256", signal)
  const now = deps.clock.now()
  const claims = { iss: deps.issuer, aud: caller.facts.clientId, iat: now, token_introspection: answer }
  const input = `${encode({ alg: "ES256", kid, typ: "token-introspection+jwt" })}.${encode(claims)}`
  const intent = {
    serial: makeTokenId(deps.random, deps.clock.monotonic()),
    kind: "jwt" as const,
    authorityId: kid,
    epoch,
    spiffeId: caller.facts.id,
    hint: "",
    tbs: Buffer.from(input),
    notBefore: now,
    notAfter: now + 1,
    createdAt: now,
    requester: { ...NO_POD, evidenceDigest: caller.facts.evidenceDigest },
    rule: "introspection",
    idempotencyKey: undefined,
  }
  const order = { intent, decision: event, reuseSince: now, subject: NOBODY, signer, form: "p1363" as const }
  const { signature } = await deps.signIntent(order)
  return sealJwtSvid(input, signature)
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url")
}

const NO_POD = { cluster: "", namespace: "", serviceAccount: "", pod: "", podUid: "", node: "" }
