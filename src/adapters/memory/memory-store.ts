import type { AuditEvent } from "../../core/audit/event.ts"
import { IdentityError } from "../../core/errors.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import { MemoryAuditChain } from "./memory-audit-chain.ts"
import { MemoryAuthorityJournal } from "./memory-authority-journal.ts"
import { MemoryBanLog } from "./memory-ban-log.ts"
import { MemoryConsumerLog } from "./memory-consumer-log.ts"
import { MemoryFederatedBundles } from "./memory-federated-bundles.ts"
import { MemoryHoldings } from "./memory-holdings.ts"
import { MemoryIssuanceLog } from "./memory-issuance-log.ts"
import { MemoryProposalLog } from "./memory-proposal-log.ts"
import { MemoryReplayLog } from "./memory-replay-log.ts"
import { MemoryRevocationLog } from "./memory-revocation-log.ts"

/** "kept": the write landed but the caller saw an error. "lost": it did not land, and the caller saw an error. */
export type Fault = "none" | "lost" | "kept"
export type WriteKind =
  | "intent"
  | "outcome"
  | "audit"
  | "authority"
  | "issuing"
  | "claim"
  | "revocation"
  | "consumer"
  | "ban"
  | "proposal"
  | "federated-bundle"

/** Runs `write` as `fault` says. @throws IdentityError `not-ready` for `lost` and `kept` */
export type FaultyWrite = <T>(kind: WriteKind, write: () => T) => T

/**
 * The ports of the store in this process's memory, for tests and throw-away servers. Trusting it means: nothing outlives the
 * process. Holds at most 100,000 intents and as many audit events, then every write answers `not-ready`.
 */
export class MemoryStore implements AsyncDisposable {
  /** Decides the fate of the next write; a write that is refused for its content never lands, whatever this says. */
  onWrite: (kind: WriteKind) => Fault = () => "none"
  /** Everything that was audited, oldest first. */
  readonly events: AuditEvent[] = []
  readonly issuanceLog: MemoryIssuanceLog
  readonly auditLog: AuditLog
  readonly auditChain: MemoryAuditChain
  readonly authorityJournal: MemoryAuthorityJournal
  readonly replayLog: MemoryReplayLog
  readonly revocationLog: MemoryRevocationLog
  readonly consumerLog: MemoryConsumerLog
  readonly holdings: MemoryHoldings
  readonly banLog: MemoryBanLog
  readonly proposalLog: MemoryProposalLog
  readonly federatedBundles: MemoryFederatedBundles

  constructor() {
    const faulty: FaultyWrite = (kind, write) => this.#faulty(kind, write)
    const chain = new MemoryAuditChain(faulty)
    const append = (event: AuditEvent): void => {
      if (this.events.length >= MAX_EVENTS) throw new IdentityError("not-ready", "memory store is full")
      this.events.push(event)
      chain.append(event)
    }
    this.auditChain = chain
    this.banLog = new MemoryBanLog(faulty, append)
    this.proposalLog = new MemoryProposalLog(faulty, append, () => this.events)
    this.federatedBundles = new MemoryFederatedBundles(faulty, append)
    this.authorityJournal = new MemoryAuthorityJournal(faulty)
    const emergencyEpochs = () => this.authorityJournal.emergencyEpochs
    this.issuanceLog = new MemoryIssuanceLog(faulty, append, () => this.banLog.head, emergencyEpochs)
    this.auditLog = { append: async (event) => faulty("audit", () => append(event)) }
    this.replayLog = new MemoryReplayLog(faulty)
    this.revocationLog = new MemoryRevocationLog(faulty, append)
    this.consumerLog = new MemoryConsumerLog(faulty)
    this.holdings = new MemoryHoldings(() => this.issuanceLog.intents(), this.authorityJournal)
  }

  #faulty<T>(kind: WriteKind, write: () => T): T {
    const fault = this.onWrite(kind)
    if (fault === "lost") throw unknownOutcome()
    const result = write()
    if (fault === "kept") throw unknownOutcome()
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export function openMemoryStore(): MemoryStore {
  return new MemoryStore()
}

function unknownOutcome(): IdentityError {
  return new IdentityError("not-ready", "store cannot write", { reason: "store-write-failed" })
}

const MAX_EVENTS = 100_000
