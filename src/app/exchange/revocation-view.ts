import type { AuditEvent } from "../../core/audit/event.ts"
import { type ChangeSignal, makeChangeSignal } from "../../core/change-signal.ts"
import type { Instant, Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { RecordedRevocation, Revocation, RevocationLog } from "../../ports/revocations.ts"

/** What of a token decides whether it was revoked. */
export interface RevocableToken {
  /** `jti`; `undefined` when it has none, and then it can be revoked by subject only. */
  readonly tokenId: string | undefined
  /** Everybody whose revocation takes the token along: its subject, its client, and the actor that it names first. */
  readonly subjects: readonly string[]
  /** `iat`; a token without counts as older than every revocation. */
  readonly issuedAt: Instant | undefined
}

/** What was revoked, in memory. A question costs two look-ups; what another replica revoked is seen within a second. */
export interface RevocationView {
  isRevoked(token: RevocableToken): boolean
  /** In force here, and durable, when it resolves. @throws IdentityError as {@link RevocationLog.record}; it is in force here even then */
  revoke(revocation: Revocation, audit: AuditEvent): Promise<void>
  /** Resolves at the next change, or on abort. Never rejects. */
  changed(signal: AbortSignal): Promise<void>
  /** Follow the log, and forget what has ended, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

export interface RevocationViewDeps {
  readonly log: RevocationLog
  readonly clock: Clock
  /**
   * Tokens that were issued then or before count as revoked: what was revoked between a backup and its restore is not known.
   * `undefined`: nothing was ever restored. @see STO-36
   */
  readonly restoredAt: Instant | undefined
  /** While the wall clock is in doubt nothing is forgotten. @see INV-21 */
  readonly steady: () => boolean
  /** Told of each time that the log could not be read; it is tried again. */
  readonly onReadFailed: (error: unknown) => void
}

/** Read the whole log, then serve. @throws IdentityError when it cannot be read: without it revoked tokens would pass */
export async function openRevocationView(deps: RevocationViewDeps): Promise<RevocationView> {
  const view = new MemoryView(makeChangeSignal())
  await catchUp(deps.log, view)
  return {
    isRevoked: (token) => (token.issuedAt ?? 0) <= (deps.restoredAt ?? -1) || view.isRevoked(token),
    revoke: async (revocation, audit) => {
      view.add(revocation)
      await deps.log.record(revocation, audit)
    },
    changed: (signal) => view.changes.changed(signal),
    run: async (signal) => {
      while (!signal.aborted) {
        await deps.clock.sleep(FOLLOW_EVERY, signal)
        if (signal.aborted) return
        if (deps.steady()) view.forget(deps.clock.now() - KEPT_FOR)
        await catchUp(deps.log, view).catch(deps.onReadFailed)
      }
    },
  }
}

async function catchUp(log: RevocationLog, view: MemoryView): Promise<void> {
  for (;;) {
    const records = await log.readAfter(view.sequence, PAGE)
    view.adopt(records)
    if (records.length < PAGE) return
  }
}

/** Bounded by the log, which refuses what is too much. */
class MemoryView {
  readonly changes: ChangeSignal
  readonly #tokens = new Map<string, Instant>()
  readonly #subjects = new Map<string, { readonly issuedUntil: Instant; readonly until: Instant }>()
  #sequence = 0

  constructor(changes: ChangeSignal) {
    this.changes = changes
  }

  /** Of the newest record that was adopted. */
  get sequence(): number {
    return this.#sequence
  }

  isRevoked({ tokenId, subjects, issuedAt }: RevocableToken): boolean {
    if (tokenId !== undefined && this.#tokens.has(tokenId)) return true
    return subjects.some((subject) => (issuedAt ?? 0) <= (this.#subjects.get(subject)?.issuedUntil ?? -1))
  }

  adopt(records: readonly RecordedRevocation[]): void {
    for (const { sequence, revocation } of records) {
      this.#put(revocation)
      this.#sequence = sequence
    }
    if (records.length > 0) this.changes.fire()
  }

  add(revocation: Revocation): void {
    this.#put(revocation)
    this.changes.fire()
  }

  forget(before: Instant): void {
    for (const [tokenId, until] of this.#tokens) if (until < before) this.#tokens.delete(tokenId)
    for (const [subject, { until }] of this.#subjects) if (until < before) this.#subjects.delete(subject)
  }

  #put(revocation: Revocation): void {
    if (revocation.kind === "token") {
      this.#tokens.set(revocation.tokenId, Math.max(revocation.until, this.#tokens.get(revocation.tokenId) ?? 0))
      return
    }
    const { subject, issuedUntil, until } = revocation
    const known = this.#subjects.get(subject)
    this.#subjects.set(subject, {
      issuedUntil: Math.max(issuedUntil, known?.issuedUntil ?? 0),
      until: Math.max(until, known?.until ?? 0),
    })
  }
}

const FOLLOW_EVERY: Millis = 500
const PAGE = 1000
/** After the end of a revocation, for clocks that differ. */
const KEPT_FOR = 3600
