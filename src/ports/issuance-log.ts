import type { AuditEvent } from "../core/audit/event.ts"
import type { Renewal } from "../core/lineage/lineage.ts"
import type { SpiffeId } from "../core/spiffe/id.ts"
import type { Instant, Seconds } from "../core/time.ts"

/** What is about to be signed, and for whom. Holds everything but the signature. @see INV-01 */
export interface Intent {
  /** X.509: the serial as lowercase hex without sign octet. JWT: the `jti`. Never used twice. */
  readonly serial: string
  readonly kind: "x509" | "jwt"
  /** X.509: {@link IssuingRecord.authorityId}. JWT: `kid`. */
  readonly authorityId: string
  readonly epoch: number
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** The exact bytes to be signed: TBSCertificate, or `header.payload`. */
  readonly tbs: Uint8Array
  readonly notBefore: Instant
  readonly notAfter: Instant
  readonly createdAt: Instant
  readonly requester: Requester
  readonly rule: string
  /** SHA-256 over what makes two requests the same one; `undefined` when a retry may get another. @see INV-13 */
  readonly idempotencyKey: Uint8Array | undefined
}

export interface Requester {
  readonly cluster: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly pod: string
  readonly podUid: string
  readonly node: string
  readonly evidenceDigest: Uint8Array
}

/** What must be so in the commit itself. */
export interface IntentGuards {
  /** The newest change of a ban that the caller looked at, {@link BanPage.head}. @see BAN-05 */
  readonly bansSeen: number
  /** Of a certificate that is part of a lineage: what it renews, which {@link judgeRenewal} must allow. @see LIN-03 */
  readonly renewal?: Renewal | undefined
}

export type IntentResult =
  | { readonly kind: "recorded" }
  /** The same request was signed not long ago: hand out that one. */
  | { readonly kind: "already-issued"; readonly intent: Intent; readonly signature: Uint8Array }

export interface LoggedIssuance {
  readonly intent: Intent
  /** `undefined`: the process ended between intent and outcome. Counts as issued. */
  readonly signature: Uint8Array | undefined
}

/** Each field that is set must match; text compares for equality. */
export interface IssuanceQuery {
  readonly spiffeId?: string
  readonly serial?: string
  readonly cluster?: string
  readonly namespace?: string
  readonly pod?: string
  readonly podUid?: string
  readonly kind?: "x509" | "jwt"
  /** Created then or later. */
  readonly since?: Instant
  /** Not expired then. */
  readonly unexpiredAt?: Instant
  /** 1 to 1001, newest first: one beyond a page of 1000 tells that there are more. */
  readonly limit: number
}

/** The record of everything that was signed. Trusting it means: what is not in it was not issued by us. */
export interface IssuanceLog {
  /**
   * Reserve the serial and write the intent and its audit record in one commit, durable when it resolves. Commits of
   * concurrent callers are grouped. An intent with the same idempotency key, created at or after `reuseSince` and with its
   * outcome recorded, is returned instead (among the newest 65,536 that have a key, and are not older than {@link MAX_REUSE}). @throws IdentityError `already-exists` when the serial was used before; `not-ready`
   * when the store cannot write (the outcome of the commit is then unknown); `conflict`, reason `bans-changed`, and nothing is
   * recorded or handed out, when bans changed after `guards.bansSeen`; `conflict`, reason `authority-replaced`, and likewise, when there was an
   * emergency of the authorities of its kind at an epoch after `intent.epoch` @see ROT-76; `policy-denied` when `guards.renewal` may not be, with the
   * record of that in the same commit, in place of `decision`
   */
  recordIntent(intent: Intent, decision: AuditEvent, reuseSince: Instant, guards: IntentGuards): Promise<IntentResult>
  /** Write the signature behind, in groups. Losing it loses no issuance: the intent stands for it. */
  recordOutcome(serial: string, signature: Uint8Array): void
  /** Resolves when all outcomes given so far are durable. */
  flush(): Promise<void>
  search(query: IssuanceQuery): Promise<readonly LoggedIssuance[]>
  /** Who asked for what has this serial. Thousands may ask at the same time. @throws IdentityError `rate-limited`, `not-ready` */
  findRequester(serial: string): Promise<Requester | undefined>
}

/** `reuseSince` does not lie further back. */
export const MAX_REUSE: Seconds = 60
