import { keyNameOf } from "../../core/ban/key-name.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { X509Issued } from "../../ports/identity-authority.ts"
import type { WorkloadKey } from "../../ports/keys.ts"

/**
 * What the next order of an identity must go on from: the certificate that was received last, served or not, and the key of an
 * order whose outcome nobody knows. The server may have issued for that key, so it asks again with it and with no other. One row per
 * entitlement at most. Keys that were evicted are remembered, since one of them may be on its way. @see LIN-10 AGT-47
 */
export class OpenRenewals {
  readonly #received = new Map<SpiffeId, { readonly serial: string; readonly notAfter: Instant }>()
  readonly #keys = new Map<SpiffeId, WorkloadKey>()
  /** Oldest first, {@link MAX_EVICTED} at most. */
  readonly #evicted = new Set<string>()
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
    if (this.isEvicted(key)) this.#abandon(id, key)
    else if (this.#isClosed) wipe(key)
    else this.#keys.set(id, key)
  }

  /** The server gives no more certificates for this key, so it is not asked for one again. @param name as bans name it */
  evictKey(name: string): void {
    const [oldest] = this.#evicted
    if (this.#evicted.size >= MAX_EVICTED && oldest !== undefined) this.#evicted.delete(oldest)
    this.#evicted.add(name)
    for (const [id, key] of this.#keys) if (this.isEvicted(key)) this.#abandon(id, key)
  }

  isEvicted({ publicKey }: Pick<WorkloadKey, "publicKey">): boolean {
    return this.#evicted.size > 0 && this.#evicted.has(keyNameOf(publicKey))
  }

  /** What was asked for may have been issued; whoever went on from the one before for another key would look like a second holder. */
  #abandon(id: SpiffeId, key: WorkloadKey): void {
    wipe(key)
    this.#keys.delete(id)
    this.#received.delete(id)
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

const MAX_EVICTED = 256

function wipe(key: WorkloadKey | undefined): void {
  key?.pkcs8[Symbol.dispose]()
}
