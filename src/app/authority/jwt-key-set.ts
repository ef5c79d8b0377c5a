import {
  activateJwtKey,
  type JwtKeyAlgorithm,
  type JwtKeySchedule,
  type JwtKeyStep,
  nextDisusedKeyStep,
  nextJwtKeyCheck,
  nextJwtKeyStep,
  rememberGrace,
  retireJwtKey,
} from "../../core/authority/jwt-keys.ts"
import { IdentityError } from "../../core/errors.ts"
import { type AccessTokenHeader, encodeAccessTokenHeader } from "../../core/jose/access-token.ts"
import { publicJwk, thumbprint } from "../../core/jose/jwk.ts"
import { encodeJwtSvidHeader, type JwtSvidHeader } from "../../core/jose/jwt-svid.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { JwtKeyRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyAlgorithm, KeyStore, Signer } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"
import type { AuthorityEvents } from "./events.ts"
import type { TrustState } from "./trust-state.ts"

/** The key that signs tokens with one algorithm right now, with the header of each kind of token. */
export interface ActiveJwtKey {
  readonly kid: string
  readonly algorithm: JwtKeyAlgorithm
  readonly signer: Signer
  readonly jwtSvidHeader: JwtSvidHeader
  readonly accessTokenHeader: AccessTokenHeader
}

export interface JwtKeySet {
  /** @throws IdentityError `not-ready` when no key of the algorithm is active */
  active(algorithm: JwtKeyAlgorithm): ActiveJwtKey
  /** What signs JWT-SVIDs: one of `wanted`, else the first of the configured algorithms, or while none of it signs yet, another. @throws IdentityError `not-ready` */
  activeForSvids(wanted?: JwtKeyAlgorithm): ActiveJwtKey
  /** A key was announced that does not sign yet, or one was retired: relying parties should look often. @see JWKS-09 */
  rotating(): boolean
  /** Take every step that is due. */
  advance(): Promise<void>
  /** {@link advance} whenever a step is due, until `signal` aborts. A step that fails is tried again later. */
  run(signal: AbortSignal): Promise<void>
}

export interface JwtKeySetDeps {
  readonly trust: TrustState
  readonly keys: KeyStore
  /** Not empty; that of JWT-SVIDs first. */
  readonly algorithms: readonly JwtKeyAlgorithm[]
  readonly schedule: JwtKeySchedule
  readonly audit: AuditLog
  readonly clock: Clock
  readonly guard: ClockGuard
  readonly random: Random
  readonly events: AuthorityEvents
}

/** Open the trust domain's JWT keys; the first ones are made here when there are none. */
export async function openJwtKeySet(deps: JwtKeySetDeps): Promise<JwtKeySet> {
  const signing = new SigningKeys(deps.keys)
  const advance = async () => {
    for (let taken = 0; taken < MAX_STEPS; taken++) {
      if (!(await takeStep(deps))) break
    }
    await signing.load(deps.trust.record().jwtKeys)
  }
  await rememberSchedule(deps)
  await advance()
  const require = (key: ActiveJwtKey | undefined) => {
    if (key === undefined) throw new IdentityError("not-ready", "no JWT key is active", { retryAfter: 1 })
    return key
  }
  return {
    active: (algorithm) => require(signing.find(algorithm)),
    activeForSvids: (wanted) => {
      const order = wanted === undefined ? deps.algorithms : [wanted, ...deps.algorithms]
      return require(order.map((one) => signing.find(one)).find((key) => key) ?? signing.any())
    },
    rotating: () => deps.trust.record().jwtKeys.some(({ state }) => state !== "active"),
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

/** The private halves of the active keys. */
class SigningKeys {
  readonly #keys: KeyStore
  readonly #active = new Map<JwtKeyAlgorithm, ActiveJwtKey>()
  readonly #previous = new Map<JwtKeyAlgorithm, ActiveJwtKey>()

  constructor(keys: KeyStore) {
    this.#keys = keys
  }

  find(algorithm: JwtKeyAlgorithm): ActiveJwtKey | undefined {
    return this.#active.get(algorithm)
  }

  any(): ActiveJwtKey | undefined {
    return this.#active.values().next().value
  }

  async load(records: readonly JwtKeyRecord[]): Promise<void> {
    for (const record of records.filter(({ state }) => state === "active")) await this.#open(record)
    for (const algorithm of this.#active.keys()) {
      const signs = records.some((record) => record.state === "active" && record.algorithm === algorithm)
      if (!signs) this.#replace(algorithm, undefined)
    }
  }

  async #open({ keyId, kid, algorithm }: JwtKeyRecord): Promise<void> {
    if (this.#active.get(algorithm)?.kid === kid) return
    const signer = await this.#keys.open(keyId)
    const jwtSvidHeader = encodeJwtSvidHeader(kid, algorithm)
    const accessTokenHeader = encodeAccessTokenHeader(kid, algorithm)
    this.#replace(algorithm, { kid, algorithm, signer, jwtSvidHeader, accessTokenHeader })
  }

  /** The one before may still be asked by a request that is under way; the one before that is not. */
  #replace(algorithm: JwtKeyAlgorithm, next: ActiveJwtKey | undefined): void {
    this.#previous.get(algorithm)?.signer.forget()
    const before = this.#active.get(algorithm)
    if (before !== undefined) this.#previous.set(algorithm, before)
    if (next === undefined) this.#active.delete(algorithm)
    else this.#active.set(algorithm, next)
  }
}

/** Nothing signs under a schedule that is not written down. */
async function rememberSchedule({ trust, schedule }: JwtKeySetDeps): Promise<void> {
  const { jwtKeys } = trust.record()
  if (rememberGrace(jwtKeys, schedule.retiredGrace) === jwtKeys) return
  await trust.update((record) => ({ ...record, jwtKeys: rememberGrace(record.jwtKeys, schedule.retiredGrace) }))
}

/** False when nothing is due. */
async function takeStep(deps: JwtKeySetDeps): Promise<boolean> {
  const now = deps.clock.now()
  const all = deps.trust.record().jwtKeys
  if (all.length === 0) {
    // The very first keys have nobody to be announced to, so all of them sign at once. @see AUT-20
    await publishKeys(deps, deps.algorithms, "active", now)
    return true
  }
  for (const algorithm of ALGORITHMS) {
    const keys = all.filter((key) => key.algorithm === algorithm)
    const isUsed = deps.algorithms.includes(algorithm)
    const replaced = all.some(({ state, algorithm: other }) => state === "active" && other !== algorithm)
    const step = isUsed
      ? nextJwtKeyStep(keys, now, deps.schedule)
      : nextDisusedKeyStep(keys, now, deps.schedule, replaced)
    if (step === undefined) continue
    await take(deps, step, algorithm, now)
    return true
  }
  return false
}

async function take(deps: JwtKeySetDeps, step: JwtKeyStep, algorithm: JwtKeyAlgorithm, now: Instant): Promise<void> {
  switch (step.kind) {
    case "publish":
      return publishKeys(deps, [algorithm], "next", now)
    case "activate":
      await change(deps, step.keyId, "activate", now, (keys) => activateJwtKey(keys, step.keyId, now))
      deps.events.jwtKeyChanged(step.keyId, "active")
      return
    case "retire":
      await change(deps, step.keyId, "retire", now, (keys) => retireJwtKey(keys, step.keyId, now))
      deps.events.jwtKeyChanged(step.keyId, "retired")
      return
    case "remove":
      await change(deps, step.keyId, "remove", now, (keys) => keys.filter((key) => key.keyId !== step.keyId))
      await deps.keys.destroy(step.keyId)
      deps.events.jwtKeyChanged(step.keyId, "removed")
      return
    default:
      return step satisfies never
  }
}

/** Audited first, then in force. */
async function change(
  deps: JwtKeySetDeps,
  keyId: string,
  what: "activate" | "retire" | "remove",
  now: Instant,
  apply: (keys: readonly JwtKeyRecord[]) => readonly JwtKeyRecord[],
): Promise<void> {
  await auditChange(deps, keyId, what, now)
  await deps.trust.update((record) => ({ ...record, epoch: record.epoch + 1, jwtKeys: apply(record.jwtKeys) }))
}

/** One change for all of them. */
async function publishKeys(
  deps: JwtKeySetDeps,
  algorithms: readonly JwtKeyAlgorithm[],
  state: JwtKeyRecord["state"],
  since: Instant,
): Promise<void> {
  const made: JwtKeyRecord[] = []
  for (const algorithm of algorithms) {
    const keyId = `jwt-${Buffer.from(deps.random(8)).toString("hex")}`
    const signer = await deps.keys.create(keyId, KEY_ALGORITHM[algorithm])
    signer.forget() // opened again when it is its turn to sign
    await auditChange(deps, keyId, "publish", since)
    const jwk = publicJwk(signer.publicKey)
    const grace = deps.schedule.retiredGrace
    made.push({ keyId, kid: thumbprint(jwk), algorithm, jwk, state, since, grace })
  }
  await deps.trust.update((record) => ({
    ...record,
    epoch: record.epoch + 1,
    jwtKeys: [...record.jwtKeys, ...made],
  }))
  for (const { keyId } of made) deps.events.jwtKeyChanged(keyId, "published")
}

function auditChange(
  deps: JwtKeySetDeps,
  authority: string,
  what: "publish" | "activate" | "retire" | "remove",
  at: Instant,
): Promise<void> {
  const common = { at, actor: "server", requestId: "jwt-keys" }
  return deps.audit.append({ ...common, type: "jwt-key.changed", authority, change: what })
}

const ALGORITHMS: readonly JwtKeyAlgorithm[] = ["ES256", "RS256"]
const KEY_ALGORITHM = { ES256: "ec-p256", RS256: "rsa-2048" } as const satisfies Record<JwtKeyAlgorithm, KeyAlgorithm>
const MAX_STEPS = 8
/** Wakes at least this often, so that a clock that jumped is noticed. */
const MAX_SLEEP = 60_000
