import type { Holder } from "../../core/authority/holder.ts"
import type { AuthorityUpdate, ConsumerReport, Subscription } from "../../ports/identity-authority.ts"
import type { SubscriberEntry, Subscribers } from "./consumers.ts"
import type { WatchEntitlements } from "./entitlements.ts"

export interface LocalSubscriptionDeps {
  readonly watchEntitlements: WatchEntitlements
  readonly holderOf: (token: string, signal: AbortSignal) => Promise<Holder>
  readonly subscribers: Subscribers
}

/** A subscription without a wire: what the proxies behind it acknowledge counts as what they say to an agent does. */
export class LocalSubscription implements Subscription {
  readonly #deps: LocalSubscriptionDeps
  readonly #token: string
  readonly #signal: AbortSignal
  #entry: SubscriberEntry | undefined
  #early: { readonly consumers: readonly ConsumerReport[]; readonly unlisted: number } | undefined

  constructor(deps: LocalSubscriptionDeps, token: string, signal: AbortSignal) {
    this.#deps = deps
    this.#token = token
    this.#signal = signal
  }

  get updates(): AsyncIterable<AuthorityUpdate> {
    return this.#read()
  }

  acknowledge(epoch: number, nackReason: string | undefined): void {
    this.#entry?.acknowledged(epoch, nackReason)
  }

  report(consumers: readonly ConsumerReport[], unlisted: number): void {
    if (this.#entry === undefined) this.#early = { consumers, unlisted }
    else this.#entry.reported(consumers, unlisted)
  }

  async *#read(): AsyncGenerator<AuthorityUpdate, void, void> {
    const { watchEntitlements, holderOf, subscribers } = this.#deps
    const holder = await holderOf(this.#token, this.#signal)
    using entry = subscribers.enter(REMOTE_SDS, holder, "server")
    this.#entry = entry
    if (this.#early !== undefined) entry.reported(this.#early.consumers, this.#early.unlisted)
    try {
      // Whoever reads here always reads on.
      for await (const update of watchEntitlements(this.#token, () => undefined, this.#signal)) {
        if (update.kind === "snapshot") entry.sent(update.snapshot.epoch)
        yield update
      }
    } finally {
      this.#entry = undefined
    }
  }
}

/** What stands in place of an agent's name. */
const REMOTE_SDS = "remote-sds"
