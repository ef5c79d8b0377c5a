import type { AuditEvent } from "../../core/audit/event.ts"
import { IdentityError } from "../../core/errors.ts"
import type { RecordedRevocation, Revocation, RevocationLog } from "../../ports/revocations.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryRevocationLog implements RevocationLog {
  readonly #faulty: FaultyWrite
  readonly #audit: (event: AuditEvent) => void
  /** By what is revoked, in the order of their numbers. */
  readonly #records = new Map<string, RecordedRevocation>()
  #sequence = 0

  constructor(faulty: FaultyWrite, audit: (event: AuditEvent) => void) {
    this.#faulty = faulty
    this.#audit = audit
  }

  async record(revocation: Revocation, audit: AuditEvent): Promise<void> {
    const name = nameOf(revocation)
    const earlier = this.#records.get(name)
    if (earlier === undefined && this.#records.size >= MAX_REVOCATIONS) {
      throw new IdentityError("rate-limited", "too many revocations are in force", { reason: "revocations-full" })
    }
    this.#faulty("revocation", () => {
      this.#audit(audit)
      this.#records.delete(name)
      this.#records.set(name, { sequence: ++this.#sequence, revocation: laterOf(revocation, earlier?.revocation) })
    })
  }

  async readAfter(sequence: number, limit: number): Promise<readonly RecordedRevocation[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_READ) throw new RangeError("limit is not 1 to 10000")
    return [...this.#records.values()].filter((record) => record.sequence > sequence).slice(0, limit)
  }
}

function nameOf(revocation: Revocation): string {
  return revocation.kind === "token" ? `token ${revocation.tokenId}` : `subject ${revocation.subject}`
}

function laterOf(revocation: Revocation, earlier: Revocation | undefined): Revocation {
  const until = Math.max(revocation.until, earlier?.until ?? 0)
  if (revocation.kind === "token") return { ...revocation, until }
  const before = earlier?.kind === "subject" ? earlier.issuedUntil : 0
  return { ...revocation, until, issuedUntil: Math.max(revocation.issuedUntil, before) }
}

const MAX_READ = 10_000
const MAX_REVOCATIONS = 100_000
