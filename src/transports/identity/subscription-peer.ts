import type { SubscriberEntry, Subscribers } from "../../app/deliver/consumers.ts"
import type { Holder } from "../../core/authority/holder.ts"
import { IdentityError } from "../../core/errors.ts"
import type { ConsumerReport } from "../../ports/identity-authority.ts"

/**
 * The other side of a Subscribe stream. It counts as a subscriber from when it has said hello and its token attested, in
 * whatever order; what it reports before that is kept.
 */
export class Peer implements Disposable {
  readonly #subscribers: Subscribers
  #agent: string | undefined
  #holder: Holder | undefined
  #entry: SubscriberEntry | undefined
  #sent = 0
  #early: { readonly consumers: readonly ConsumerReport[]; readonly unlisted: number } | undefined
  #gone = false

  constructor(subscribers: Subscribers) {
    this.#subscribers = subscribers
  }

  /** @throws IdentityError `malformed` */
  hello(agent: string): void {
    if (this.#agent !== undefined) throw new IdentityError("malformed", "hello was sent twice")
    this.#agent = agent
    this.#enter()
  }

  attested(holder: Holder): void {
    this.#holder = holder
    this.#enter()
  }

  /** To be called before a snapshot of this epoch is sent. */
  sending(epoch: number): void {
    this.#sent = epoch
    this.#entry?.sent(epoch)
  }

  /** Before it was attested it was sent nothing that it could answer. @throws IdentityError `malformed` */
  acknowledged(epoch: number, nackReason: string | undefined): void {
    this.#demandHello()
    this.#entry?.acknowledged(epoch, nackReason)
  }

  /** @throws IdentityError `malformed` */
  reported(consumers: readonly ConsumerReport[], unlisted: number): void {
    this.#demandHello()
    if (this.#entry === undefined) this.#early = { consumers, unlisted }
    else this.#entry.reported(consumers, unlisted)
  }

  [Symbol.dispose](): void {
    this.#gone = true
    this.#entry?.[Symbol.dispose]()
  }

  #demandHello(): void {
    if (this.#agent === undefined) throw new IdentityError("malformed", "the first message is not hello")
  }

  #enter(): void {
    if (this.#gone || this.#agent === undefined || this.#holder === undefined) return
    this.#entry = this.#subscribers.enter(this.#agent, this.#holder, "agent")
    this.#entry.sent(this.#sent)
    if (this.#early !== undefined) this.#entry.reported(this.#early.consumers, this.#early.unlisted)
    this.#early = undefined
  }
}
