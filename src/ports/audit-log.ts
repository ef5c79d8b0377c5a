import type { ChainHead, ChainOrigin, Seal } from "../core/audit/chain.ts"
import type { AuditEvent } from "../core/audit/event.ts"
import type { AuditRecord } from "../core/audit/record.ts"
import type { Instant } from "../core/time.ts"

/** Decisions that have no intent to ride with. Durable when it resolves; the reply waits for it. @see INV-11 */
export interface AuditLog {
  append(event: AuditEvent): Promise<void>
}

/** Looks back at what was recorded. */
export interface AuditSearch {
  /** Newest first. @throws IdentityError `malformed` for a bad limit; `rate-limited` when too many searches wait; `not-ready` */
  search(query: AuditQuery): Promise<AuditFound>
}

/** Each field that is set must match; text compares for equality. */
export interface AuditQuery {
  readonly type?: string
  readonly actor?: string
  readonly requestId?: string
  readonly spiffeId?: string
  /** Of a certificate, or the `jti` of a token. */
  readonly serial?: string
  readonly since?: Instant
  readonly until?: Instant
  /** Only records before this one. */
  readonly before?: number
  /** 1 to 1000. */
  readonly limit: number
}

export interface AuditFound {
  readonly records: readonly FoundRecord[]
  /** Records from this one on were looked at; what is before was not. A million at most are. */
  readonly lookedFrom: number
}

export interface FoundRecord {
  readonly record: AuditRecord
  /** Hash of the record before; `undefined` where that has none. */
  readonly previous: string | undefined
}

/**
 * Every record, those that ride with intents too, is hashed together with the one before it, in the order and in the commit in
 * which it is written. Trusting the chain means: nobody changed a part of it; whoever can write the store can write it anew,
 * but cannot make seals. @see AUD-10
 */
export interface AuditChain {
  /**
   * Begin the chain, unless the one of `origin` has begun. What was written before, outside of it, is sealed by its first
   * record. Durable when it resolves. @see AUD-11
   */
  start(origin: ChainOrigin, at: Instant): Promise<void>
  /** As of everything that is durable. */
  state(): Promise<ChainState>
}

export interface ChainState {
  readonly head: ChainHead
  /** Sequence of the newest record that begins a chain; 0 without one. */
  readonly started: number
  /** The newest seal, and the hash that the record it speaks of has now. */
  readonly sealed: { readonly seal: Seal; readonly found: string | undefined } | undefined
}
