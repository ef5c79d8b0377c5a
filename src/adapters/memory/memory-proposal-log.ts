import {
  isPending,
  type Proposal,
  type ProposalDecision,
  type ProposalExecution,
  type RecordedProposal,
  standingOf,
  TRACE_TYPES,
} from "../../core/admin/proposal.ts"
import type { AuditEvent } from "../../core/audit/event.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { ProposalLog } from "../../ports/proposals.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryProposalLog implements ProposalLog {
  readonly #faulty: FaultyWrite
  readonly #audit: (event: AuditEvent) => void
  readonly #audited: () => readonly AuditEvent[]
  /** Oldest first. */
  #records: readonly RecordedProposal[] = []

  /** @param audited all events so far */
  constructor(faulty: FaultyWrite, audit: (event: AuditEvent) => void, audited: () => readonly AuditEvent[]) {
    this.#faulty = faulty
    this.#audit = audit
    this.#audited = audited
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
      this.#records = [...kept, { proposal, ...UNDECIDED }]
    })
  }

  async decide(id: string, decision: ProposalDecision, audit: AuditEvent): Promise<void> {
    const known = this.#records.find((one) => one.proposal.id === id)
    if (known === undefined || !isPending(known, decision.at)) {
      throw decided()
    }
    this.#put(known, { ...known, decision }, audit)
  }

  async resume(id: string, at: Instant, audit: AuditEvent): Promise<void> {
    const known = this.#unsettled(id)
    if (at >= known.proposal.expiresAt) throw decided()
    if (standingOf(known, at) !== "approved") throw begun()
    this.#put(known, known, audit)
  }

  async settle(id: string, execution: ProposalExecution, audit: AuditEvent): Promise<void> {
    const known = this.#unsettled(id)
    this.#put(known, { ...known, execution, begun: false }, audit)
  }

  async list(): Promise<readonly RecordedProposal[]> {
    return this.#records.map((one) => this.#traced(one)).reverse()
  }

  #put(known: RecordedProposal, next: RecordedProposal, audit: AuditEvent): void {
    this.#faulty("proposal", () => {
      this.#audit(audit)
      this.#records = this.#records.map((one) => (one.proposal.id === known.proposal.id ? next : one))
    })
  }

  #unsettled(id: string): RecordedProposal {
    const known = this.#records.find(({ proposal }) => proposal.id === id)
    if (known?.decision?.outcome === "approved" && known.execution === undefined) return this.#traced(known)
    throw decided()
  }

  #traced(recorded: RecordedProposal): RecordedProposal {
    const { decision, execution } = recorded
    if (decision?.outcome !== "approved" || execution !== undefined) return recorded
    const traces = this.#audited().filter(({ type }) => TRACE_TYPES.some((one) => one === type))
    return { ...recorded, begun: traces.some(({ requestId }) => requestId === decision.requestId) }
  }
}

function decided(): IdentityError {
  return new IdentityError("conflict", "no such proposal waits", { reason: "proposal-decided" })
}

function begun(): IdentityError {
  return new IdentityError("conflict", "the proposal was begun before", { reason: "proposal-begun" })
}

const UNDECIDED = { decision: undefined, execution: undefined, begun: false }
const MAX_PENDING = 64
const MAX_SETTLED = 1000
