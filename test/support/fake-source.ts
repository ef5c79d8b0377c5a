import { randomBytes } from "node:crypto"
import type { IdentitySource, IdentityState, IdentityView } from "../../src/app/deliver/identity-source.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { SpiffeId } from "../../src/core/spiffe/id.ts"
import type { ConsumerReport, JwtIssued } from "../../src/ports/identity-authority.ts"

/** What a {@link FakeSource} answers for a JWT; may throw IdentityError. */
export type JwtAnswer = (
  audience: readonly string[],
  spiffeId: SpiffeId | undefined,
) => readonly JwtIssued[] | Promise<readonly JwtIssued[]>

/** An {@link IdentitySource} that a test drives: it stays as it was told until it is told otherwise. */
export class FakeSource implements IdentitySource {
  /** What each consumer last reported. */
  readonly reports = new Map<string, ConsumerReport>()
  /** All calls of `observed` in order, so that a test can see repeats. */
  readonly observations: { readonly consumer: string; readonly report: ConsumerReport | undefined }[] = []
  answerJwt: JwtAnswer = (audience, spiffeId) => this.#dummyJwts(audience, spiffeId)
  #state: IdentityState
  readonly #waiters = new Set<() => void>()

  constructor(state: IdentityState = { kind: "waiting", error: new IdentityError("not-ready", "no identity yet") }) {
    this.#state = state
  }

  current(): IdentityState {
    return this.#state
  }

  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done)
        signal.removeEventListener("abort", done)
        resolve()
      }
      this.#waiters.add(done)
      signal.addEventListener("abort", done, { once: true })
    })
  }

  async fetchJwt(audience: readonly string[], spiffeId: SpiffeId | undefined): Promise<readonly JwtIssued[]> {
    return await this.answerJwt(audience, spiffeId)
  }

  observed(consumer: string, report: ConsumerReport | undefined): void {
    this.observations.push({ consumer, report })
    if (report === undefined) this.reports.delete(consumer)
    else this.reports.set(consumer, report)
  }

  /** How many readers wait for a change: lets a test know that a stream has drained what there is. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** Become `state` and wake every reader. */
  become(state: IdentityState): void {
    this.#state = state
    for (const wake of [...this.#waiters]) wake()
  }

  ready(view: IdentityView): void {
    this.become({ kind: "ready", view })
  }

  wait(error = new IdentityError("not-ready", "no identity yet")): void {
    this.become({ kind: "waiting", error })
  }

  deny(error = new IdentityError("no-identity", "no identity issued")): void {
    this.become({ kind: "denied", error })
  }

  #dummyJwts(audience: readonly string[], spiffeId: SpiffeId | undefined): readonly JwtIssued[] {
    const state = this.#state
    if (state.kind !== "ready") throw state.error
    const held = state.view.svids.filter((svid) => spiffeId === undefined || svid.spiffeId === spiffeId)
    if (held.length === 0) throw new IdentityError("no-identity", "no identity issued for this SPIFFE ID")
    return held.map(({ spiffeId, hint, notAfter }) => ({
      spiffeId,
      hint,
      token: `dummy.${Buffer.from(audience.join()).toString("base64url")}.${randomBytes(8).toString("base64url")}`,
      expiresAt: notAfter,
    }))
  }
}
