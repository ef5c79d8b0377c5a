import { hash } from "node:crypto"
import { parseJsonObject } from "../json.ts"
import type { Instant } from "../time.ts"
import type { AuditEvent } from "./event.ts"
import type { AuditEntry } from "./record.ts"

/** What a chain belongs to. A store that was restored from a backup is another incarnation of the trust domain. */
export interface ChainOrigin {
  readonly trustDomain: string
  readonly incarnation: string
}

/** The newest record: its sequence, and its hash as hex. Of no record: 0, and the hash of nothing. */
export interface ChainHead {
  readonly sequence: number
  readonly hash: string
}

/** That the chain had `hash` at `sequence`, said under the key of seals. */
export interface Seal {
  readonly sequence: number
  readonly hash: string
  /** Hex. */
  readonly mac: string
}

/** What only those can do who have the sealing key. */
export interface SealMac {
  /** Hex. */
  readonly make: (text: string) => string
  readonly verify: (text: string, mac: string) => boolean
}

/**
 * The hash of a record that follows on `head`: SHA-256, as hex, over the RFC 8785 text of
 * `[hash of the record before, sequence, at, type, actor, request id, data]`. @see AUD-10
 */
export function hashRecord(head: ChainHead, { at, type, actor, requestId, data }: AuditEntry): string {
  const names = `${JSON.stringify(type)},${JSON.stringify(actor)},${JSON.stringify(requestId)}`
  return hash("sha256", `["${head.hash}",${head.sequence + 1},${at},${names},${data}]`)
}

/** The record that begins a chain, and says what was there before it. @see AUD-11 */
export function startedEvent(origin: ChainOrigin, before: ChainHead, at: Instant): AuditEvent {
  const { trustDomain, incarnation } = origin
  return {
    type: "audit.started",
    at,
    actor: "server",
    requestId: "start",
    trustDomain,
    incarnation,
    before: before.sequence,
    digest: before.hash,
  }
}

/** What the MAC of a seal is of. @see AUD-13 */
export function sealText({ trustDomain, incarnation }: ChainOrigin, { sequence, hash }: ChainHead): string {
  return JSON.stringify(["assay audit seal v1", trustDomain, incarnation, sequence, hash])
}

/** The seal that a record of type `audit.sealed` holds; `undefined` when it holds none. */
export function parseSeal(data: string): Seal | undefined {
  const { sequence, hash, mac } = parseJsonObject(data)
  if (typeof sequence !== "number" || typeof hash !== "string" || typeof mac !== "string") return undefined
  return { sequence, hash, mac }
}

export const NO_RECORD: ChainHead = { sequence: 0, hash: hash("sha256", "") }
