import { type ChainOrigin, type Seal, type SealMac, sealText } from "../../core/audit/chain.ts"
import { IdentityError } from "../../core/errors.ts"
import type { AuditChain, AuditLog, ChainState } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"

export interface AuditSealsDeps {
  readonly chain: AuditChain
  readonly audit: AuditLog
  readonly origin: ChainOrigin
  readonly mac: SealMac
  readonly clock: Clock
  readonly failed: (thrown: unknown) => void
}

/** Vouches for the audit log, a minute at a time. */
export interface AuditSeals {
  /**
   * Record a seal over everything that is there, unless the newest seal already speaks of it.
   * @throws IdentityError `not-ready`, reason `audit-broken`, when what was sealed before is not there as it was
   */
  seal(): Promise<void>
  /** Now, each minute, and when `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** What was changed since the last seal is never sealed over; see `spec/80-audit.md` for what that finds. @see AUD-13 AUD-15 */
export function makeAuditSeals(deps: AuditSealsDeps): AuditSeals {
  let last: Seal | undefined
  const seal = async (): Promise<void> => {
    const state = await deps.chain.state()
    demandIntact(deps, state, last)
    const { sequence, hash } = state.head
    last = state.sealed?.seal
    if (sequence === 0 || (last !== undefined && sequence <= last.sequence + 1)) return
    const next = { sequence, hash, mac: deps.mac.make(sealText(deps.origin, { sequence, hash })) }
    await deps.audit.append({
      type: "audit.sealed",
      at: deps.clock.now(),
      actor: "server",
      requestId: "seal",
      ...next,
    })
    last = next
  }
  return {
    seal,
    run: async (signal) => {
      while (true) {
        await seal().catch(deps.failed)
        if (signal.aborted) return
        await deps.clock.sleep(SEAL_EVERY, signal)
      }
    },
  }
}

function demandIntact({ mac, origin }: AuditSealsDeps, state: ChainState, last: Seal | undefined): void {
  const { head, started, sealed } = state
  if (sealed === undefined) {
    // A seal is written right after the start, and seals are never removed.
    if (last !== undefined || head.sequence - started > UNSEALED_START) throw broken("the seals are gone")
    return
  }
  const { seal, found } = sealed
  if (found !== seal.hash) throw broken("a record that was sealed was changed")
  if (last !== undefined && seal.sequence < last.sequence) throw broken("the newest seal is gone")
  // A seal that is older than the start is another incarnation's.
  if (seal.sequence >= started && !mac.verify(sealText(origin, seal), seal.mac))
    throw broken("the newest seal is not of this sealing key")
}

function broken(what: string): IdentityError {
  return new IdentityError("not-ready", `audit log: ${what}; run assay audit verify`, { reason: "audit-broken" })
}

const SEAL_EVERY = 60_000
/** What `assay init`, run again after crashes, may have left. */
const UNSEALED_START = 100
