import type { ConsumerReport, Subscription } from "../../ports/identity-authority.ts"
import { sameList } from "./same-view.ts"

/**
 * What the consumers behind this agent hold, told upward as a whole, and only when it changed. When they are more than one
 * report takes, those that are furthest behind are told, since a rotation waits for them. @see AGT-16
 */
export class ConsumerReports {
  readonly #consumers = new Map<string, ConsumerReport>()
  #told: readonly ConsumerReport[] = []
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
  }

  flush(): void {
    const report = [...this.#consumers.values()].map(toldOf).sort(furthestBehindFirst).slice(0, MAX_REPORT)
    if (this.#subscription === undefined || sameList(report, this.#told, sameReport)) return
    this.#subscription.report(report)
    this.#told = report
  }
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

const MAX_REPORT = 256
const MAX_CONSUMERS = 4096
