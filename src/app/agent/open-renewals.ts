import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { X509Issued } from "../../ports/identity-authority.ts"
import type { WorkloadKey } from "../../ports/keys.ts"

/**
 * What the next order of an identity must go on from: the certificate that was received last, served or not, and the key of an
 * order whose outcome nobody knows. The server may have issued for that key, so it asks again with it and with no other. One row per
 * entitlement at most. @see LIN-10
 */
export class OpenRenewals {
  readonly #received = new Map<SpiffeId, { readonly serial: string; readonly notAfter: Instant }>()
  readonly #keys = new Map<SpiffeId, WorkloadKey>()
  #isClosed = false

  /** Serial to quote; `undefined` when nothing is held that has not expired. */
  quote(id: SpiffeId, now: Instant): string | undefined {
    const received = this.#received.get(id)
    return received !== undefined && received.notAfter > now ? received.serial : undefined
  }

  /** The key to ask again with. It is the caller's from now on. */
  takeKey(id: SpiffeId): WorkloadKey | undefined {
    const key = this.#keys.get(id)
    this.#keys.delete(id)
    return key
  }

  received(id: SpiffeId, { serial, notAfter }: X509Issued): void {
    this.#received.set(id, { serial, notAfter })
  }

  /** Nobody knows what became of the order for `key`. */
  unanswered(id: SpiffeId, key: WorkloadKey): void {
    wipe(this.#keys.get(id))
    if (this.#isClosed) wipe(key)
    else this.#keys.set(id, key)
  }

  retain(isKept: (id: SpiffeId) => boolean): void {
    for (const [id, key] of this.#keys) {
      if (isKept(id)) continue
      wipe(key)
      this.#keys.delete(id)
    }
    for (const id of this.#received.keys()) if (!isKept(id)) this.#received.delete(id)
  }

  /** Forget everything; keys that come later are wiped at once. */
  close(): void {
    this.#isClosed = true
    this.retain(() => false)
  }
}

function wipe(key: WorkloadKey | undefined): void {
  key?.pkcs8[Symbol.dispose]()
}
