import { sameList } from "../../core/spiffe/same-bundle.ts"
import type { ConsumerReport, Subscription } from "../../ports/identity-authority.ts"

/**
 * What the consumers behind this agent hold, told upward as a whole, and only when it changed. When they are more than one
 * report takes, those that are furthest behind are told, since a rotation waits for them. @see AGT-16
 */
export class ConsumerReports {
  readonly #consumers = new Map<string, ConsumerReport>()
  #told: readonly ConsumerReport[] = []
  #toldUnlisted = 0
  #subscription: Subscription | undefined

  /** @returns false when there is no room for one more consumer */
  observed(consumer: string, report: ConsumerReport | undefined): boolean {
    if (report === undefined) return this.#consumers.delete(consumer) || true
    if (!this.#consumers.has(consumer) && this.#consumers.size >= MAX_CONSUMERS) return false
    this.#consumers.set(consumer, report)
    return true
  }

  /** The least epoch that a client which cannot acknowledge was sent; `undefined`: there is none that was sent anything. */
  get handedOn(): number | undefined {
    const sent = [...this.#consumers.values()].flatMap(({ kind, epoch }) =>
      kind === "workload-api" && epoch > 0 ? [epoch] : [],
    )
    return sent.length === 0 ? undefined : Math.min(...sent)
  }

  /** Report on `subscription` from now on; a new stream knows nothing of what the last was told. */
  attach(subscription: Subscription | undefined): void {
    this.#subscription = subscription
    this.#told = []
    this.#toldUnlisted = 0
  }

  flush(): void {
    const report = withinBounds([...this.#consumers.values()].map(toldOf).sort(furthestBehindFirst))
    const unlisted = this.#consumers.size - report.length
    const isKnown = unlisted === this.#toldUnlisted && sameList(report, this.#told, sameReport)
    if (this.#subscription === undefined || isKnown) return
    this.#subscription.report(report, unlisted)
    this.#told = report
    this.#toldUnlisted = unlisted
  }
}

function withinBounds(reports: readonly ConsumerReport[]): readonly ConsumerReport[] {
  let bytes = 0
  const end = reports.findIndex(({ name, nackReason = "" }) => {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(nackReason) + FRAMING
    return bytes > MAX_BYTES
  })
  return reports.slice(0, end === -1 ? MAX_REPORT : Math.min(end, MAX_REPORT))
}

function furthestBehindFirst(a: ConsumerReport, b: ConsumerReport): number {
  const refused = Number(b.nackReason !== undefined) - Number(a.nackReason !== undefined)
  // The Workload API has no acknowledgements, so its clients stay at epoch 0 and would crowd out those that are behind.
  const mute = Number(a.kind === "workload-api") - Number(b.kind === "workload-api")
  return refused || mute || a.epoch - b.epoch
}

/** What was sent to a client of the Workload API is no acknowledgement of it. @see EV-2 */
function toldOf(report: ConsumerReport): ConsumerReport {
  return report.kind === "workload-api" ? { ...report, epoch: 0 } : report
}

function sameReport(a: ConsumerReport, b: ConsumerReport): boolean {
  return a.name === b.name && a.kind === b.kind && a.epoch === b.epoch && a.nackReason === b.nackReason
}

/** As many as a server tells apart behind one holder. @see EVD-04 */
const MAX_REPORT = 1000
/** The smallest message that a server can be told to accept is 64 KiB. */
const MAX_BYTES = 60_000
/** What a report has beside its texts. */
const FRAMING = 24
const MAX_CONSUMERS = 4096
