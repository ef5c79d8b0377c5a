import { createHash } from "node:crypto"
import { type Holder, holderKey } from "../../core/authority/holder.ts"
import type { RenewOrder } from "../../core/authority/renew-waves.ts"
import { type ChangeSignal, makeChangeSignal } from "../../core/change-signal.ts"
import type { AttestedClaims } from "../../core/policy/attested.ts"

/** What subscribers are asked to renew for, right now. */
export class RenewOrders {
  #order: RenewOrder | undefined
  /** Who was asked, and true when he has brought what was wanted since. At most 100,000; who comes on top may be asked twice. */
  readonly #asked = new Map<string, boolean>()
  readonly #changes: ChangeSignal = makeChangeSignal()

  get order(): RenewOrder | undefined {
    return this.#order
  }

  /** Subscribers hear of it when it is another one. */
  set(order: RenewOrder | undefined): void {
    const same = order?.rotation === this.#order?.rotation && order?.share === this.#order?.share
    if (order?.rotation !== this.#order?.rotation) this.#asked.clear()
    this.#order = order
    if (!same) this.#changes.fire()
  }

  /** The order, if it is for this holder: whoever renewed for it is not asked again when it comes back. @see ROT-47 */
  orderFor(holder: Holder): RenewOrder | undefined {
    const order = this.#order
    return order === undefined || this.#asked.get(holderKey(holder)) === true ? undefined : order
  }

  /** To be called when the holder is told of the order. */
  asked(holder: Holder): void {
    if (this.#asked.size < MAX_ASKED) this.#asked.set(holderKey(holder), false)
  }

  /** The holder was given a certificate. @param hasBundle it has the newest bundle, as far as it says or this process knows */
  renewed(holder: Holder, hasBundle: boolean): void {
    const order = this.#order
    if (order === undefined || (order.wants === "bundle" && !hasBundle)) return
    const key = holderKey(holder)
    if (this.#asked.has(key)) this.#asked.set(key, true)
  }

  /** Resolves at the next change of {@link order}, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#changes.changed(signal)
  }
}

/** Where in the waves a caller is: a number from 0 to 1, the same for all tokens of a pod. */
export function wavePosition({ cluster, pod, evidenceDigest }: AttestedClaims): number {
  const hash = createHash("sha256")
    .update(cluster)
    .update("\0")
    .update(pod?.uid ?? evidenceDigest)
  return hash.digest().readUInt32BE(0) / 2 ** 32
}

const MAX_ASKED = 100_000
