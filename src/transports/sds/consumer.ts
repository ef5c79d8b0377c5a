import type { ConsumerReport } from "../../ports/identity-authority.ts"
import type { Standing } from "./session.ts"

/** What a consumer needs of each of its streams. */
export interface ConsumerStream {
  /** Send what there is to send now. */
  pump(): void
}

/**
 * One proxy over all of its streams; Envoy opens one for each secret. It holds what the least of them holds, and a new
 * certificate waits until the trust of the same proxy has settled. @see SDS-18 INV-27
 */
export class Consumer {
  readonly #name: string
  readonly #observed: (report: ConsumerReport | undefined) => void
  readonly #isChanging: () => boolean
  readonly #standings = new Map<ConsumerStream, Standing>()
  readonly #trustPending = new Set<ConsumerStream>()
  readonly #holding = new Set<ConsumerStream>()
  /** Streams at each epoch, so that an update does not cost a walk over all streams. */
  readonly #epochs = new Map<number, number>()
  readonly #refusing = new Map<ConsumerStream, string>()
  #reported: ConsumerReport | undefined

  /**
   * @param name at most 253 bytes
   * @param isChanging true while not all of its streams know a change: what is not confirmed is not known before. All are pumped then
   */
  constructor(
    name: string,
    observed: (report: ConsumerReport | undefined) => void,
    isChanging: () => boolean = () => false,
  ) {
    this.#name = name
    this.#observed = observed
    this.#isChanging = isChanging
  }

  /** True when a stream other than `stream` has trust that is not confirmed; `stream` is pumped when that ends. */
  mustHold(stream: ConsumerStream): boolean {
    const others = this.#trustPending.size - (this.#trustPending.has(stream) ? 1 : 0)
    if (others > 0) this.#holding.add(stream)
    else this.#holding.delete(stream)
    return others > 0 || this.#isChanging()
  }

  update(stream: ConsumerStream, standing: Standing | undefined, trustPending: boolean): void {
    const isNew = this.#stand(stream, standing)
    if (trustPending) this.#trustPending.add(stream)
    else if (this.#trustPending.delete(stream) && this.#trustPending.size === 0) this.#release()
    if (isNew) this.#report()
  }

  leave(stream: ConsumerStream): void {
    this.#holding.delete(stream)
    this.update(stream, undefined, false)
  }

  /** @returns false when that was known: of four updates that a push brings, one says something new */
  #stand(stream: ConsumerStream, standing: Standing | undefined): boolean {
    const before = this.#standings.get(stream)
    if (before?.epoch === standing?.epoch && before?.nackReason === standing?.nackReason) return false
    if (before !== undefined) this.#count(before.epoch, -1)
    if (standing === undefined) this.#standings.delete(stream)
    else {
      this.#standings.set(stream, standing)
      this.#count(standing.epoch, 1)
    }
    if (standing?.nackReason === undefined) this.#refusing.delete(stream)
    else this.#refusing.set(stream, standing.nackReason)
    return true
  }

  #count(epoch: number, by: 1 | -1): void {
    const count = (this.#epochs.get(epoch) ?? 0) + by
    if (count === 0) this.#epochs.delete(epoch)
    else this.#epochs.set(epoch, count)
  }

  #release(): void {
    const held = [...this.#holding]
    this.#holding.clear()
    for (const stream of held) stream.pump()
  }

  #report(): void {
    const report = this.#current()
    const before = this.#reported
    if (report?.epoch === before?.epoch && report?.nackReason === before?.nackReason) return
    this.#reported = report
    this.#observed(report)
  }

  #current(): ConsumerReport | undefined {
    if (this.#standings.size === 0) return undefined
    const [nackReason] = this.#refusing.values()
    return { name: this.#name, kind: "sds", epoch: Math.min(...this.#epochs.keys()), nackReason }
  }
}
