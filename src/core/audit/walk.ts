import { parseJsonObject } from "../json.ts"
import type { Instant, Seconds } from "../time.ts"
import { type ChainHead, type ChainOrigin, hashRecord, NO_RECORD, parseSeal, sealText } from "./chain.ts"
import type { AuditRecord } from "./record.ts"

/** Where a chain does not hold. Closed; what each means is in `spec/80-audit.md`. */
export type BreakKind = "gap" | "changed" | "unchained" | "no-start" | "false-start" | "false-seal"

export interface ChainBreak {
  readonly kind: BreakKind
  /** Of the first record that does not fit. */
  readonly sequence: number
}

export interface WalkOptions {
  /** `middle`: the records begin somewhere in the chain, such as those of a file that was rotated. */
  readonly from: "start" | "middle"
  /** Whether `mac`, as hex, is that of `text` under the key of seals; without it seals are not looked at. */
  readonly verifySeal?: (text: string, mac: string) => boolean
  /** Of a chain whose start is not among the records. */
  readonly origin?: ChainOrigin
}

/** What a walk has found to be whole so far. */
export interface WalkReport {
  readonly records: number
  /** Of these, older than the chain: sealed by its start as a whole. */
  readonly unchained: number
  readonly head: ChainHead
  readonly seals: number
  /** The newest record that a seal vouches for; 0 when none does. */
  readonly sealedUpTo: number
  /** For how long records were written at the end that no seal vouches for. */
  readonly unsealedFor: Seconds
}

/** Follows a chain, record by record, with bounded memory. @see AUD-12 AUD-14 */
export class ChainWalk {
  readonly #options: WalkOptions
  readonly #recent = new Map<number, string>()
  #origin: ChainOrigin | undefined
  /** `undefined` before the first record. */
  #head: ChainHead | undefined
  #chained = false
  #records = 0
  #unchained = 0
  #seals = 0
  #sealedUpTo = 0
  #unsealedFor: Seconds = 0
  /** When the first record was written that no seal vouches for yet. */
  #unsealedSince: Instant | undefined

  constructor(options: WalkOptions) {
    this.#options = options
    this.#origin = options.origin
  }

  /** `undefined` when `record` follows on those before it. After a break, the walk is over. */
  take(record: AuditRecord): ChainBreak | undefined {
    const kind = this.#examine(record)
    return kind === undefined ? undefined : { kind, sequence: record.sequence }
  }

  report(): WalkReport {
    return {
      records: this.#records,
      unchained: this.#unchained,
      head: this.#head ?? NO_RECORD,
      seals: this.#seals,
      sealedUpTo: this.#sealedUpTo,
      unsealedFor: this.#unsealedFor,
    }
  }

  #examine(record: AuditRecord): BreakKind | undefined {
    const before = this.#head ?? this.#first(record)
    if (before === undefined) return this.#begin(record)
    if (record.sequence !== before.sequence + 1) return "gap"
    if (record.hash === undefined) return this.#takeUnchained(record, before)
    const starts = record.type === "audit.started"
    if (!this.#chained && !starts) return "no-start"
    if (hashRecord(before, record) !== record.hash) return "changed"
    if (starts && !this.#start(record, before)) return "false-start"
    if (record.type === "audit.sealed" && !this.#seal(record)) return "false-seal"
    this.#accept({ sequence: record.sequence, hash: record.hash })
    if (record.type !== "audit.sealed") this.#notSealed(record.at)
    return undefined
  }

  /** What the first record must follow on; `undefined` when that is not known. */
  #first({ sequence }: AuditRecord): ChainHead | undefined {
    return this.#options.from === "start" || sequence === 1 ? NO_RECORD : undefined
  }

  /** The first record of a part: nothing says what it follows on, so it is taken as it is. */
  #begin({ sequence, hash, type, data }: AuditRecord): BreakKind | undefined {
    if (hash === undefined) return "unchained"
    this.#chained = true
    if (type === "audit.started") this.#origin = originIn(data)
    this.#accept({ sequence, hash })
    return undefined
  }

  #takeUnchained(record: AuditRecord, before: ChainHead): BreakKind | undefined {
    if (this.#chained) return "unchained"
    this.#unchained++
    this.#accept({ sequence: record.sequence, hash: hashRecord(before, record) })
    return undefined
  }

  #start(record: AuditRecord, before: ChainHead): boolean {
    const data = parseJsonObject(record.data)
    this.#chained = true
    this.#origin = originIn(record.data)
    return data["before"] === before.sequence && data["digest"] === before.hash
  }

  /** A seal speaks of a record a little before it. One whose record is not among these, or without a key, says nothing. */
  #seal(record: AuditRecord): boolean {
    const seal = parseSeal(record.data)
    if (seal === undefined) return false
    const known = this.#recent.get(seal.sequence)
    if (known === undefined) return this.#records <= RECENT
    if (known !== seal.hash) return false
    const { verifySeal } = this.#options
    if (verifySeal === undefined || this.#origin === undefined) return true
    if (!verifySeal(sealText(this.#origin, seal), seal.mac)) return false
    this.#seals++
    this.#unsealedSince = undefined
    this.#unsealedFor = 0
    this.#sealedUpTo = seal.sequence
    return true
  }

  #notSealed(at: Instant): void {
    this.#unsealedSince ??= at
    this.#unsealedFor = Math.max(0, at - this.#unsealedSince)
  }

  #accept(head: ChainHead): void {
    this.#head = head
    this.#records++
    this.#recent.set(head.sequence, head.hash)
    this.#recent.delete(head.sequence - RECENT)
  }
}

function originIn(data: string): ChainOrigin {
  const { trustDomain, incarnation } = parseJsonObject(data)
  if (typeof trustDomain !== "string" || typeof incarnation !== "string") return { trustDomain: "", incarnation: "" }
  return { trustDomain, incarnation }
}

/** More than can be written between the moment a seal is made and the moment it is written. */
const RECENT = 65_536
