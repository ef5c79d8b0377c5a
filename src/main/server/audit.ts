import { makeSealMac } from "../../adapters/disk-keys/seal-mac.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { type AuditSeals, makeAuditSeals } from "../../app/audit/seal-audit.ts"
import type { AuthorityEvents } from "../../app/authority/events.ts"
import type { TrustState } from "../../app/authority/trust-state.ts"
import type { Secret } from "../../core/secret.ts"
import type { ServerState } from "./state.ts"

export interface AuditDeps {
  readonly state: ServerState
  readonly sealingKey: Secret
  readonly trust: TrustState
  readonly events: AuthorityEvents
}

/** Begin the chain of a store that is older than chains, and keep it sealed from then on. */
export async function openAuditSeals({ state, sealingKey, trust, events }: AuditDeps): Promise<AuditSeals> {
  const { trustDomain, incarnation } = trust.record()
  const origin = { trustDomain, incarnation }
  await state.store.auditChain.start(origin, systemClock.now())
  return makeAuditSeals({
    chain: state.store.auditChain,
    audit: state.store.auditLog,
    origin,
    mac: makeSealMac(sealingKey),
    clock: systemClock,
    failed: (thrown) => events.stepFailed("audit-seal", thrown),
  })
}
