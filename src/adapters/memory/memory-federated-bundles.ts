import type { AuditEvent } from "../../core/audit/event.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import type { FederatedBundles, KeptBundle } from "../../ports/federated-bundles.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryFederatedBundles implements FederatedBundles {
  readonly #faulty: FaultyWrite
  readonly #audit: (event: AuditEvent) => void
  readonly #kept = new Map<TrustDomain, KeptBundle>()

  constructor(faulty: FaultyWrite, audit: (event: AuditEvent) => void) {
    this.#faulty = faulty
    this.#audit = audit
  }

  async list(): Promise<readonly KeptBundle[]> {
    return [...this.#kept.values()].sort((a, b) => (a.bundle.trustDomain < b.bundle.trustDomain ? -1 : 1))
  }

  async keep(kept: KeptBundle, audit: AuditEvent): Promise<void> {
    this.#faulty("federated-bundle", () => {
      this.#audit(audit)
      this.#kept.set(kept.bundle.trustDomain, kept)
    })
  }

  async forget(trustDomain: TrustDomain, audit: AuditEvent): Promise<void> {
    this.#faulty("federated-bundle", () => {
      this.#audit(audit)
      this.#kept.delete(trustDomain)
    })
  }
}
