import type { ConsumerRow } from "../../core/authority/evidence.ts"
import type { ReadEvidence } from "./read-evidence.ts"

/** Each field that is set must match. */
export interface ConsumerFilter {
  readonly cluster?: string
  readonly namespace?: string
  readonly pod?: string
  readonly kind?: ConsumerRow["kind"]
  readonly grade?: ConsumerRow["grade"]
  /** Only those that have not proven to hold this epoch. */
  readonly behind?: number
  /** 1 to 1000. */
  readonly limit: number
}

export interface ConsumerList {
  /** Those that refused first, then the furthest behind. */
  readonly consumers: readonly ConsumerRow[]
  /** How many match, listed or not. */
  readonly total: number
}

/** Who holds what, and what they have proven. @throws IdentityError when that cannot be read @see EVD-10 */
export type ListConsumers = (filter: ConsumerFilter) => Promise<ConsumerList>

export function makeListConsumers(readEvidence: ReadEvidence): ListConsumers {
  return async ({ limit, behind, ...wanted }) => {
    const { consumers } = await readEvidence()
    const found = consumers.filter((row) => matches(row, wanted) && (behind === undefined || isBehind(row, behind)))
    return { consumers: found.sort(worstFirst).slice(0, limit), total: found.length }
  }
}

function matches(row: ConsumerRow, wanted: Omit<ConsumerFilter, "limit" | "behind">): boolean {
  return FILTERS.every((field) => wanted[field] === undefined || wanted[field] === row[field])
}

function isBehind(row: ConsumerRow, epoch: number): boolean {
  return !row.live || row.epoch < epoch || row.nackReason !== undefined
}

function worstFirst(a: ConsumerRow, b: ConsumerRow): number {
  const refused = Number(b.nackReason !== undefined) - Number(a.nackReason !== undefined)
  return refused || a.epoch - b.epoch || b.notAfter - a.notAfter
}

const FILTERS = ["cluster", "namespace", "pod", "kind", "grade"] as const
