import type { RotationEvidence } from "../../core/authority/evidence.ts"
import type { RotationTerms } from "../../core/authority/safe-points.ts"
import type { Seconds } from "../../core/time.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { TrustDomainPlan } from "../authority/create-trust-domain.ts"
import type { TrustState } from "../authority/trust-state.ts"

/** What deciding and writing a step of a rotation needs. */
export interface StepDeps {
  readonly trust: TrustState
  readonly audit: AuditLog
  readonly clock: Clock
  /** What is known now. @throws IdentityError `not-ready` when it cannot be read; nothing goes on then */
  readonly evidence: () => Promise<RotationEvidence>
  readonly terms: () => RotationTerms
}

export interface RotateDeps extends StepDeps {
  readonly keys: KeyStore
  readonly random: Random
  readonly root: RootPlan
}

/** Of a new root. */
export type RootPlan = Pick<TrustDomainPlan, "algorithm" | "subject" | "backdate"> & { readonly ttl: Seconds }

/** Who wants a step, for the audit log. */
export interface Asking {
  readonly actor: string
  readonly requestId: string
}
