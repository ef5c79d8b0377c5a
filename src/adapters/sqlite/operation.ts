import type { SQLInputValue } from "node:sqlite"
import type { ChainOrigin } from "../../core/audit/chain.ts"
import type { AuditEntry } from "../../core/audit/record.ts"
import { type ErrorCode, IdentityError } from "../../core/errors.ts"
import type { Renewal } from "../../core/lineage/lineage.ts"
import type { Instant } from "../../core/time.ts"
import type { ChainState } from "../../ports/audit-log.ts"
import type { IntentRow } from "./intent-row.ts"
import type { SqlRow } from "./sql-row.ts"

/** What is asked of the store. A group of these is one commit. */
export type Operation =
  | {
      readonly kind: "intent"
      readonly intent: IntentRow
      readonly idempotencyKey: Uint8Array | null
      readonly reuseSince: Instant
      readonly audit: AuditEntry
      /** How far the bans were read; the intent is refused when they have gone on since. @see BAN-05 */
      readonly bansSeen: number
      /** `null`: it is in no lineage. */
      readonly renewal: Renewal | null
    }
  | { readonly kind: "outcome"; readonly serial: string; readonly signature: Uint8Array }
  /** The same by the number of its row. */
  | { readonly kind: "outcome-of"; readonly intent: number; readonly signature: Uint8Array }
  | { readonly kind: "audit"; readonly audit: AuditEntry }
  | { readonly kind: "start-audit"; readonly origin: ChainOrigin; readonly at: Instant }
  | { readonly kind: "read-audit-state" }
  | { readonly kind: "create-authority"; readonly revision: number; readonly record: string }
  | { readonly kind: "replace-authority"; readonly revision: number; readonly record: string }
  | { readonly kind: "adopt-issuing"; readonly row: readonly SQLInputValue[] }
  | { readonly kind: "prune"; readonly before: Instant; readonly batch: number }
  | {
      readonly kind: "claim"
      readonly use: string
      readonly id: Uint8Array
      /** Random, one for each claim: tells a claim that is said again from a second one. */
      readonly holder: Uint8Array
      readonly until: Instant
    }
  /** kind, name, issued_until, until. */
  | { readonly kind: "revoke"; readonly row: readonly SQLInputValue[]; readonly audit: AuditEntry }
  | { readonly kind: "prune-lineages"; readonly before: Instant; readonly batch: number }
  | { readonly kind: "read-revocations"; readonly after: number; readonly limit: number }
  | { readonly kind: "prune-proofs"; readonly before: Instant; readonly batch: number }
  /** Rows of `CONSUMER_COLUMNS`. */
  | {
      readonly kind: "write-consumers"
      readonly rows: readonly (readonly SQLInputValue[])[]
      readonly removed: readonly string[]
    }
  | { readonly kind: "read-consumers"; readonly after: string; readonly limit: number }
  | { readonly kind: "add-ban"; readonly ban: BanRow; readonly audit: AuditEntry }
  | {
      readonly kind: "lift-ban"
      /** kind, name. */
      readonly target: readonly [string, string]
      readonly at: Instant
      readonly audit: AuditEntry
    }
  | { readonly kind: "read-bans"; readonly after: number; readonly limit: number }
  | { readonly kind: "prune-bans"; readonly before: Instant; readonly batch: number }
  /** The columns of a proposal, in order. */
  | {
      readonly kind: "add-proposal"
      readonly row: readonly SQLInputValue[]
      readonly now: Instant
      readonly audit: AuditEntry
    }
  | {
      readonly kind: "decide-proposal"
      readonly id: string
      readonly outcome: string
      readonly by: string
      readonly at: Instant
      readonly requestId: string
      readonly audit: AuditEntry
    }
  | { readonly kind: "resume-proposal"; readonly id: string; readonly at: Instant; readonly audit: AuditEntry }
  | {
      readonly kind: "settle-proposal"
      readonly id: string
      readonly outcome: string
      readonly at: Instant
      readonly reason: string
      readonly audit: AuditEntry
    }
  | { readonly kind: "read-proposals" }
  /** The columns of a federated bundle, in order. */
  | { readonly kind: "keep-federated"; readonly row: readonly SQLInputValue[]; readonly audit: AuditEntry }
  | { readonly kind: "forget-federated"; readonly trustDomain: string; readonly audit: AuditEntry }
  | { readonly kind: "read-federated" }
  | { readonly kind: "read-authority" }
  | { readonly kind: "read-issuing"; readonly authorityId: string }
  /** Writes nothing: done when everything before it is. */
  | { readonly kind: "barrier" }
  /** Writes nothing but the mark of its commit: done when the store can write. */
  | { readonly kind: "try-write" }

export interface BanRow {
  readonly kind: string
  readonly name: string
  readonly reason: string
  readonly actor: string
  readonly createdAt: Instant
  readonly until: Instant | null
}

export type OperationResult =
  | { readonly kind: "done" }
  /** An intent, in the row of that number. */
  | { readonly kind: "recorded"; readonly id: number }
  | { readonly kind: "row"; readonly row: SqlRow | undefined }
  | { readonly kind: "rows"; readonly rows: readonly SqlRow[] }
  | { readonly kind: "bans"; readonly rows: readonly SqlRow[]; readonly head: number }
  | { readonly kind: "claim"; readonly won: boolean }
  | { readonly kind: "audit-state"; readonly state: ChainState }
  | ({ readonly kind: "pruned" } & Pruned)
  /** Decided in the commit, with a record of it. */
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "failed"; readonly failure: Failure }

/** What one batch of forgetting came to. */
export interface Pruned {
  /** How many went. */
  readonly rows: number
  /** A whole batch was looked at, so that there may be more to forget now. */
  readonly more: boolean
}

/** Of a batch in which whatever is looked at goes. */
export function prunedOf(rows: number, batch: number): OperationResult {
  return { kind: "pruned", rows, more: rows === batch }
}

/** An IdentityError on its way between threads; `detail` is for the log. */
export interface Failure {
  readonly code: ErrorCode
  readonly message: string
  readonly reason: string | undefined
  readonly next: string | undefined
  readonly detail: string | undefined
}

export function encodeFailure(error: IdentityError): Failure {
  const { code, message, reason, next, cause } = error
  return { code, message, reason, next, detail: cause instanceof Error ? cause.message : undefined }
}

export function parseFailure({ code, message, reason, next, detail }: Failure): IdentityError {
  return new IdentityError(code, message, {
    ...(reason === undefined ? {} : { reason }),
    ...(next === undefined ? {} : { next }),
    ...(detail === undefined ? {} : { cause: new Error(detail) }),
    ...(code === "not-ready" ? { retryAfter: 1 } : {}),
  })
}

/** The reason of a failure that the disk, or another process, is to blame for. */
export const WRITE_FAILED = "store-write-failed"

export function isWrite(operation: Operation): boolean {
  return !READS.has(operation.kind)
}

const READS: ReadonlySet<Operation["kind"]> = new Set([
  "read-authority",
  "read-issuing",
  "read-revocations",
  "read-consumers",
  "read-audit-state",
  "read-bans",
  "read-proposals",
  "read-federated",
  "barrier",
])
