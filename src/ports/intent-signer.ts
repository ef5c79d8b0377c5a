import type { AuditEvent } from "../core/audit/event.ts"
import type { BanSubject } from "../core/ban/ban-index.ts"
import type { Renewal } from "../core/lineage/lineage.ts"
import type { Instant } from "../core/time.ts"
import type { Intent, IntentGuards } from "./issuance-log.ts"
import type { Signer } from "./keys.ts"

/** A signature that is wanted, with all that must be written down before it is made. */
export interface SigningOrder {
  readonly intent: Intent
  /** The audit record of the decision; it is committed together with the intent. */
  readonly decision: AuditEvent
  /** An issuance with the same idempotency key since then is handed out again. */
  readonly reuseSince: Instant
  /** Everybody for whom it is; none of them may be banned when it is recorded. @see BAN-05 */
  readonly subject: BanSubject
  /** Of a certificate that is part of a lineage: what it renews. @see LIN-01 */
  readonly renewal?: Renewal | undefined
  /** Signs {@link Intent.tbs}. */
  readonly signer: Signer
  readonly form: "der" | "p1363"
}

/** An order whose subject was looked for among the bans, with how far they were read. */
export interface GuardedOrder extends SigningOrder {
  readonly guards: IntentGuards
}

export type SignedIntent =
  | { readonly kind: "signed"; readonly signature: Uint8Array }
  /** The same request was signed not long ago: hand out that one. */
  | { readonly kind: "already-issued"; readonly intent: Intent; readonly signature: Uint8Array }

/**
 * Steps 4 to 8 of the issuance cycle as one: write intent and decision in one durable commit, then sign, then write the outcome
 * behind. Nothing is signed whose intent is not durable. The outcome of a certificate is its signature, that of a token a digest
 * of the token. @throws IdentityError as {@link IssuanceLog.recordIntent}; any error of the signer @see ISS-04 ISS-06 INV-01
 */
export type SignGuarded = (order: GuardedOrder) => Promise<SignedIntent>

/**
 * {@link SignGuarded} for nobody who is banned: the way by which all that is issued is signed.
 * @throws IdentityError as {@link SignGuarded}; `policy-denied`, reason `banned` @see BAN-05
 */
export type SignIntent = (order: SigningOrder) => Promise<SignedIntent>
