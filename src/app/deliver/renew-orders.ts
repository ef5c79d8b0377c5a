import { createHash } from "node:crypto"
import type { RenewOrder } from "../../core/authority/renew-waves.ts"
import { type ChangeSignal, makeChangeSignal } from "../../core/change-signal.ts"
import type { AttestedClaims } from "../../core/policy/attested.ts"

/** What subscribers are asked to renew for, right now. */
export class RenewOrders {
  #order: RenewOrder | undefined
  readonly #changes: ChangeSignal = makeChangeSignal()

  get order(): RenewOrder | undefined {
    return this.#order
  }

  /** Subscribers hear of it when it is another one. */
  set(order: RenewOrder | undefined): void {
    const same = order?.rotation === this.#order?.rotation && order?.share === this.#order?.share
    this.#order = order
    if (!same) this.#changes.fire()
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
