import type { AuditEvent } from "../../core/audit/event.ts"
import {
  judgeRenewal,
  type Lineage,
  nextLineage,
  type QuotedIssuance,
  type Renewal,
} from "../../core/lineage/lineage.ts"
import { refusedRenewalEvent, renewalError } from "../../core/lineage/lineage-refusal.ts"
import type { Intent } from "../../ports/issuance-log.ts"

/** Lineages of a {@link MemoryIssuanceLog}, for as long as its intents are kept. */
export class MemoryLineages {
  readonly #intentOf: (serial: string) => Intent | undefined
  readonly #byOwner = new Map<string, readonly Lineage[]>()
  /** Serial to lineage. */
  readonly #lineageOf = new Map<string, number>()
  #begun = 0

  constructor(intentOf: (serial: string) => Intent | undefined) {
    this.#intentOf = intentOf
  }

  /**
   * What to write when `intent` may be recorded; when it may not, the error, and what is to be written of that. Nothing is
   * written yet.
   */
  judge(
    intent: Intent,
    renewal: Renewal,
    decision: AuditEvent,
  ):
    | { readonly kind: "allowed"; readonly write: () => void }
    | { readonly kind: "refused"; readonly event: AuditEvent; readonly error: Error; readonly write: () => void } {
    const owner = ownerOf(intent)
    const known = this.#byOwner.get(owner) ?? []
    const verdict = judgeRenewal(known, renewal, (serial) => this.#find(serial, owner), intent.createdAt)
    if (verdict.kind === "goes-on" || verdict.kind === "begins") {
      const before = verdict.kind === "goes-on" ? known.find(({ id }) => id === verdict.lineage) : undefined
      const forgotten = verdict.kind === "begins" ? verdict.replaces : before?.id
      return {
        kind: "allowed",
        write: () => {
          const next = nextLineage(before ?? { id: ++this.#begun, notAfter: 0 }, renewal, intent)
          this.#lineageOf.set(intent.serial, next.id)
          this.#byOwner.set(owner, [...known.filter(({ id }) => id !== forgotten), next])
        },
      }
    }
    const broken = verdict.kind === "violated" ? known.find(({ id }) => id === verdict.breaks) : undefined
    const { at, actor, requestId } = decision
    const facts = { spiffeId: intent.spiffeId, quoted: renewal.quoted ?? "", current: broken?.current ?? "" }
    return {
      kind: "refused",
      event: refusedRenewalEvent({ verdict: verdict.kind, at, actor, requestId, ...facts }),
      error: renewalError(verdict.kind),
      write: () => {
        const marked = known.map((one) => (one === broken ? { ...one, broken: true } : one))
        this.#byOwner.set(owner, marked)
      },
    }
  }

  #find(serial: string, owner: string): QuotedIssuance | undefined {
    const intent = this.#intentOf(serial)
    if (intent?.kind !== "x509") return undefined
    return { isOwn: ownerOf(intent) === owner, lineage: this.#lineageOf.get(serial) ?? NONE }
  }
}

function ownerOf({ requester, spiffeId }: Intent): string {
  return `${requester.podUid} ${spiffeId} ${requester.cluster}`
}

/** No lineage has this number. */
const NONE = -1
