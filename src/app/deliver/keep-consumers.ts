import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ConsumerLog, ConsumerRecord, HoldingsReader } from "../../ports/consumers.ts"
import type { Log } from "../../ports/telemetry.ts"
import { ConsumerBook, MAX_SKEW } from "./consumer-book.ts"

export interface OpenBookDeps {
  readonly clock: Pick<Clock, "now">
  readonly consumers: ConsumerLog
  readonly holdings: HoldingsReader
}

export interface KeepConsumersDeps {
  readonly log: Log
  readonly clock: Pick<Clock, "sleep">
  readonly consumers: ConsumerLog
}

/** The book as it was when the process ended, and nobody in it is there. @throws IdentityError @see EVD-05 */
export async function openConsumerBook({ clock, consumers, holdings }: OpenBookDeps): Promise<ConsumerBook> {
  const book = new ConsumerBook(() => clock.now())
  const { held } = await holdings.readHoldings(clock.now() - MAX_SKEW)
  book.restore(await readAll(consumers), held)
  book.prune()
  return book
}

/**
 * Write down what changed, once a second and in groups, and forget what has expired, a part at a time, until `signal` aborts; then
 * write once more. @see EVD-06 EVD-17
 */
export async function keepConsumers(book: ConsumerBook, deps: KeepConsumersDeps, signal: AbortSignal): Promise<void> {
  let failing = false
  while (!signal.aborted) {
    await deps.clock.sleep(WRITE_EVERY, signal)
    book.pruneSome(PRUNED_AT_ONCE)
    failing = await writeChanges(book, deps, failing)
  }
}

/** @param failing what it came to last time; it is said once @returns whether something could not be written */
async function writeChanges(
  book: ConsumerBook,
  { consumers, log }: KeepConsumersDeps,
  failing: boolean,
): Promise<boolean> {
  for (let changes = book.takeChanges(); changes !== undefined; changes = book.takeChanges()) {
    const { records, removed } = changes
    try {
      await consumers.write(records, removed)
    } catch (err) {
      // The outcome is unknown, and writing the same again does no harm. @see INV-25
      book.unwritten([...records.map(({ id }) => id), ...removed])
      if (!failing) log.warn({ err, consumers: records.length }, "consumers cannot be written down; trying again")
      return true
    }
  }
  return false
}

async function readAll(consumers: ConsumerLog): Promise<readonly ConsumerRecord[]> {
  const found: ConsumerRecord[] = []
  for (;;) {
    const page = await consumers.readAfter(found.at(-1)?.id ?? "", PAGE)
    found.push(...page)
    if (page.length < PAGE) return found
  }
}

const WRITE_EVERY: Millis = 1000
/** About 6 ms of processor time; 20,000 agents are gone through within 16 s. */
const PRUNED_AT_ONCE = 2500
const PAGE = 10_000
