import type { RotationEvidence } from "../../core/authority/evidence.ts"
import type { RotationTerms } from "../../core/authority/safe-points.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { TrustState } from "../authority/trust-state.ts"
import type { RotatedAuthority } from "./rotated-authority.ts"

/** What deciding and writing a step of the rotation of one kind of authority needs. */
export interface StepDeps {
  readonly authority: RotatedAuthority
  readonly trust: TrustState
  readonly audit: AuditLog
  readonly clock: Clock
  /** What is known now, of this kind of authority. @throws IdentityError `not-ready` when it cannot be read; nothing goes on then */
  readonly evidence: () => Promise<RotationEvidence>
  readonly terms: () => RotationTerms
}

export interface RotateDeps extends StepDeps {
  readonly keys: KeyStore
  readonly random: Random
}

/** Who wants a step, for the audit log. */
export interface Asking {
  readonly actor: string
  readonly requestId: string
  /** What it was approved over (`rotationOver`): no step is taken over anything else. */
  readonly over?: string
}
