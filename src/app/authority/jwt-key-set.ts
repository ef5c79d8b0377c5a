import { activateJwtKey, type JwtKeySchedule, nextJwtKeyCheck, nextJwtKeyStep } from "../../core/authority/jwt-keys.ts"
import { IdentityError } from "../../core/errors.ts"
import { publicJwk, thumbprint } from "../../core/jose/jwk.ts"
import { encodeJwtSvidHeader, type JwtSvidHeader } from "../../core/jose/jwt-svid.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { JwtKeyRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore, Signer } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"
import type { AuthorityEvents } from "./events.ts"
import type { TrustState } from "./trust-state.ts"

/** The key that signs JWT-SVIDs right now. */
export interface ActiveJwtKey {
  readonly kid: string
  readonly header: JwtSvidHeader
  readonly signer: Signer
}

export interface JwtKeySet {
  /** @throws IdentityError `not-ready` when no key is active */
  active(): ActiveJwtKey
  /** Take every step that is due. */
  advance(): Promise<void>
  /** {@link advance} whenever a step is due, until `signal` aborts. A step that fails is tried again later. */
  run(signal: AbortSignal): Promise<void>
}

export interface JwtKeySetDeps {
  readonly trust: TrustState
  readonly keys: KeyStore
  readonly algorithm: "ec-p256" | "rsa-2048"
  readonly schedule: JwtKeySchedule
  readonly audit: AuditLog
  readonly clock: Clock
  readonly guard: ClockGuard
  readonly random: Random
  readonly events: AuthorityEvents
}

/** Open the trust domain's JWT keys; the first one is made here when there is none. */
export async function openJwtKeySet(deps: JwtKeySetDeps): Promise<JwtKeySet> {
  let active: ActiveJwtKey | undefined
  let previous: ActiveJwtKey | undefined
  const load = async () => {
    const record = deps.trust.record().jwtKeys.find((key) => key.state === "active")
    if (record === undefined || record.kid === active?.kid) return
    const header = encodeJwtSvidHeader(record.kid, record.algorithm)
    const next = { kid: record.kid, header, signer: await deps.keys.open(record.keyId) }
    // The one before may still be asked by a request that is under way; the one before that is not.
    previous?.signer.forget()
    previous = active
    active = next
  }
  const advance = async () => {
    for (let taken = 0; taken < MAX_STEPS; taken++) {
      if (!(await takeStep(deps))) break
    }
    await load()
  }
  await advance()
  return {
    active: () => {
      if (active === undefined) throw new IdentityError("not-ready", "no JWT key is active", { retryAfter: 1 })
      return active
    },
    advance,
    run: async (signal) => {
      while (!signal.aborted) {
        const now = deps.clock.now()
        const due = nextJwtKeyCheck(deps.trust.record().jwtKeys, now, deps.schedule)
        await deps.clock.sleep(Math.min((due - now) * 1000, MAX_SLEEP), signal)
        if (signal.aborted) return
        if (!deps.guard.steady()) continue
        await advance().catch((thrown: unknown) => deps.events.stepFailed("jwt-key", thrown))
      }
    },
  }
}

/** False when nothing is due. */
async function takeStep(deps: JwtKeySetDeps): Promise<boolean> {
  const now = deps.clock.now()
  const step = nextJwtKeyStep(deps.trust.record().jwtKeys, now, deps.schedule)
  if (step === undefined) return false
  switch (step.kind) {
    case "publish":
      await publishKey(deps, now)
      return true
    case "activate":
      await auditChange(deps, step.keyId, "activate", now)
      await deps.trust.update((record) => ({
        ...record,
        epoch: record.epoch + 1,
        jwtKeys: activateJwtKey(record.jwtKeys, step.keyId, now),
      }))
      deps.events.jwtKeyChanged(step.keyId, "active")
      return true
    case "remove":
      await auditChange(deps, step.keyId, "remove", now)
      await deps.trust.update((record) => ({
        ...record,
        epoch: record.epoch + 1,
        jwtKeys: record.jwtKeys.filter((key) => key.keyId !== step.keyId),
      }))
      await deps.keys.destroy(step.keyId)
      deps.events.jwtKeyChanged(step.keyId, "removed")
      return true
    default:
      return step satisfies never
  }
}

async function publishKey(deps: JwtKeySetDeps, now: Instant): Promise<void> {
  const keyId = `jwt-${Buffer.from(deps.random(8)).toString("hex")}`
  const signer = await deps.keys.create(keyId, deps.algorithm)
  signer.forget() // opened again when it is its turn to sign
  await auditChange(deps, keyId, "publish", now)
  const jwk = publicJwk(signer.publicKey)
  const algorithm = deps.algorithm === "ec-p256" ? "ES256" : "RS256"
  await deps.trust.update((record) => {
    // The very first key has nobody to be announced to.
    const state: JwtKeyRecord["state"] = record.jwtKeys.length === 0 ? "active" : "next"
    const key: JwtKeyRecord = { keyId, kid: thumbprint(jwk), algorithm, jwk, state, since: now }
    return { ...record, epoch: record.epoch + 1, jwtKeys: [...record.jwtKeys, key] }
  })
  deps.events.jwtKeyChanged(keyId, "published")
}

function auditChange(
  deps: JwtKeySetDeps,
  authority: string,
  change: "publish" | "activate" | "remove",
  at: Instant,
): Promise<void> {
  return deps.audit.append({ type: "jwt-key.changed", at, actor: "server", requestId: "jwt-keys", authority, change })
}

const MAX_STEPS = 8
/** Wakes at least this often, so that a clock that jumped is noticed. */
const MAX_SLEEP = 60_000
