import { IdentityError } from "../../core/errors.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Millis } from "../../core/time.ts"
import { waitFor } from "../../core/wait-for.ts"
import type {
  AuthorityUpdate,
  ConsumerReport,
  IdentityAuthority,
  JwtIssued,
  Subscription,
} from "../../ports/identity-authority.ts"
import type { IdentitySource } from "../deliver/identity-source.ts"
import { ConsumerReports } from "./consumer-reports.ts"
import { followAuthority } from "./follow-authority.ts"
import { JwtCache } from "./jwt-cache.ts"
import { signingKeyOf } from "./jwt-key-id.ts"
import { normaliseAudience } from "./normalise-audience.ts"
import { type KeeperDeps, SvidKeeper } from "./svid-keeper.ts"

export interface IdentitySourceDeps extends KeeperDeps {
  readonly authority: IdentityAuthority
}

export interface OpenIdentitySource extends IdentitySource, AsyncDisposable {
  /** Resolves when the source was closed; rejects on a bug, and then nothing is kept current any more. */
  readonly finished: Promise<void>
}

/**
 * Keep the identities of this agent current, from now until disposed. Starts in state `waiting`, reaches `ready` by itself.
 * @see AGT-01..AGT-24
 */
export function openIdentitySource(deps: IdentitySourceDeps): OpenIdentitySource {
  return new AgentIdentities(deps)
}

class AgentIdentities implements OpenIdentitySource {
  readonly finished: Promise<void>
  readonly #deps: IdentitySourceDeps
  readonly #keeper: SvidKeeper
  readonly #jwts: JwtCache
  readonly #reports = new ConsumerReports()
  readonly #stop = new AbortController()
  #incarnation: string | undefined

  constructor(deps: IdentitySourceDeps) {
    this.#deps = deps
    this.#keeper = new SvidKeeper({ ...deps, handedOn: () => this.#reports.handedOn })
    const isKeepable = (jwt: JwtIssued): boolean => this.#isEntitled(jwt.spiffeId) && this.#isVerifiable(jwt)
    this.#jwts = new JwtCache({ ...deps, isKeepable }, this.#stop.signal)
    this.finished = this.#run()
    // Whoever waits for it still sees the failure; nobody is forced to.
    this.finished.catch(() => undefined)
  }

  current(): ReturnType<IdentitySource["current"]> {
    return this.#keeper.cell.current()
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#keeper.cell.changed(signal)
  }

  async fetchJwt(
    audience: readonly string[],
    spiffeId: SpiffeId | undefined,
    signal: AbortSignal,
  ): Promise<readonly JwtIssued[]> {
    const normal = normaliseAudience(audience)
    const outcomes = await waitFor(this.#jwts.fetch(this.#holders(spiffeId), normal), signal)
    const issued = outcomes.flatMap((outcome) => (outcome.kind === "issued" ? [outcome.value] : []))
    const failed = outcomes.flatMap((outcome) => (outcome.kind === "failed" ? [outcome.error] : []))
    // What was taken away while the call was under way is not handed out. @see AGT-04
    const held = issued.filter((jwt) => this.#isEntitled(jwt.spiffeId))
    if (held.length > 0) return this.#withHints(held)
    throw failed[0] ?? NOT_HELD
  }

  observed(consumer: string, report: ConsumerReport | undefined): void {
    if (!this.#reports.observed(consumer, report)) this.#deps.log.warn({ consumer }, "too many consumers: not reported")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.finished.catch(() => undefined)
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal
    const follower = {
      adopt: (update: AuthorityUpdate & { readonly kind: "snapshot" }) => this.#adopt(update),
      renew: (within: number) => this.#keeper.renew(within),
      evict: (reason: string) => this.#evict(reason),
      evictKey: (key: string) => this.#keeper.evictKey(key),
      lost: (error: IdentityError, takesAway: boolean) => this.#lost(error, takesAway),
      attach: (subscription: Subscription | undefined) => this.#reports.attach(subscription),
    }
    const tasks = [this.#keeper.run(signal), followAuthority(this.#deps, follower, signal), this.#housekeep(signal)]
    try {
      await Promise.race(tasks)
    } finally {
      this.#stop.abort()
      await Promise.allSettled(tasks)
    }
  }

  #adopt({ snapshot, entitlements }: AuthorityUpdate & { readonly kind: "snapshot" }): string | undefined {
    const refusal = this.#keeper.adopt(snapshot, entitlements)
    if (refusal !== undefined) return refusal
    // Its server takes tokens from before for revoked. @see AGT-46 STO-36
    if (this.#incarnation !== undefined && this.#incarnation !== snapshot.incarnation) this.#jwts.forget()
    this.#incarnation = snapshot.incarnation
    this.#jwts.prune()
    return undefined
  }

  #evict(reason: string): void {
    this.#keeper.evict(reason)
    this.#jwts.forget()
  }

  #lost(error: IdentityError, takesAway: boolean): void {
    this.#keeper.lost(error, takesAway)
    if (takesAway) this.#jwts.forget()
  }

  async #housekeep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#reports.flush()
      this.#jwts.refreshAhead()
      await this.#deps.clock.sleep(HOUSEKEEPING, signal)
    }
  }

  /** @throws IdentityError when there is none: `no-identity`, or why the state is not ready */
  #holders(spiffeId: SpiffeId | undefined): readonly SpiffeId[] {
    const ids = (this.#keeper.entitlements ?? []).map((entitlement) => entitlement.spiffeId)
    const state = this.current()
    if (ids.length === 0 && state.kind !== "ready") throw state.error
    const wanted = ids.filter((id) => spiffeId === undefined || id === spiffeId)
    if (wanted.length === 0) throw NOT_HELD
    return wanted
  }

  #isEntitled(id: SpiffeId): boolean {
    return this.#keeper.entitlements?.some(({ spiffeId }) => spiffeId === id) ?? false
  }

  /** A token whose key left the bundle is worth nothing to its audience. @see AGT-23 */
  #isVerifiable(jwt: JwtIssued): boolean {
    const kid = signingKeyOf(jwt.token)
    return this.#keeper.snapshot?.own.jwtAuthorities.some((authority) => authority.kid === kid) ?? false
  }

  #withHints(issued: readonly JwtIssued[]): readonly JwtIssued[] {
    const hints = new Map((this.#keeper.entitlements ?? []).map(({ spiffeId, hint }) => [spiffeId, hint]))
    return issued.map((jwt) => ({ ...jwt, hint: hints.get(jwt.spiffeId) ?? jwt.hint }))
  }
}

const NOT_HELD = new IdentityError("no-identity", "no identity issued for this SPIFFE ID")
/** How often reports go up and tokens are looked at. */
const HOUSEKEEPING: Millis = 1_000
