import { isPending, type Proposal, type ProposalDecision, type RecordedProposal } from "../../core/admin/proposal.ts"
import type { AuditEvent } from "../../core/audit/event.ts"
import { IdentityError } from "../../core/errors.ts"
import type { ProposalLog } from "../../ports/proposals.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryProposalLog implements ProposalLog {
  readonly #faulty: FaultyWrite
  readonly #audit: (event: AuditEvent) => void
  /** Oldest first. */
  #records: readonly RecordedProposal[] = []

  constructor(faulty: FaultyWrite, audit: (event: AuditEvent) => void) {
    this.#faulty = faulty
    this.#audit = audit
  }

  async add(proposal: Proposal, audit: AuditEvent): Promise<void> {
    if (this.#records.some((one) => one.proposal.id === proposal.id)) {
      throw new IdentityError("already-exists", "there is such a proposal already")
    }
    const waiting = this.#records.filter((one) => isPending(one, proposal.createdAt))
    if (waiting.length >= MAX_PENDING) {
      throw new IdentityError("rate-limited", "too many requests wait for approval", { reason: "proposals-full" })
    }
    const settled = this.#records.filter((one) => !isPending(one, proposal.createdAt))
    const forgotten = new Set(settled.slice(0, -MAX_SETTLED))
    this.#faulty("proposal", () => {
      this.#audit(audit)
      const kept = this.#records.filter((one) => !forgotten.has(one))
      this.#records = [...kept, { proposal, decision: undefined }]
    })
  }

  async decide(id: string, decision: ProposalDecision, audit: AuditEvent): Promise<void> {
    const known = this.#records.find((one) => one.proposal.id === id)
    if (known === undefined || !isPending(known, decision.at)) {
      throw new IdentityError("conflict", "no such proposal waits", { reason: "proposal-decided" })
    }
    this.#faulty("proposal", () => {
      this.#audit(audit)
      this.#records = this.#records.map((one) => (one === known ? { ...one, decision } : one))
    })
  }

  async list(): Promise<readonly RecordedProposal[]> {
    return this.#records.toReversed()
  }
}

const MAX_PENDING = 64
const MAX_SETTLED = 1000
