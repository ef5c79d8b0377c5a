import type { Millis } from "../../core/time.ts"
import type { EncodedSecret, SecretSet } from "./secret-set.ts"

/**
 * One stream's side of the conversation, without I/O: what the peer said goes in by `receive`, what there is to hold goes in
 * by `publish`, and `next` gives what is to be sent now.
 */
export interface Session<Request> {
  /** Note a request. @throws IdentityError `malformed`: the stream is to be refused */
  receive(request: Request): Receipt
  /** Replace what there is to send. */
  publish(secrets: SecretSet): void
  /**
   * The next response, or `undefined`. The session counts it as sent.
   * @param holdCertificates do not replace a certificate now @see SDS-18
   * @param now monotonic; default: at the beginning of time
   */
  next(holdCertificates: boolean, now?: Millis): Reply | undefined
  /**
   * Stop waiting for answers to what was sent until `sentUntil`, so that newer content may follow. Default: to whatever was sent.
   * @returns false when nothing of that was waited for @see XDS-08
   */
  giveUpWaiting(sentUntil?: Millis): boolean
  /** True while a change of trust was not sent, or not answered. */
  readonly trustPending: boolean
  /** `undefined` while the peer holds nothing of ours. */
  readonly standing: Standing | undefined
}

/** What a request meant. */
export type Receipt =
  | { readonly kind: "subscribed" }
  | { readonly kind: "acknowledged" }
  | { readonly kind: "refused"; readonly names: readonly string[]; readonly reason: string }
  | { readonly kind: "stale" }

export interface Reply {
  readonly nonce: string
  /** One or more, in the order of subscription; for delta it may be empty beside `removed`. */
  readonly secrets: readonly EncodedSecret[]
  /** Names whose secret is gone. Always empty in state-of-the-world. */
  readonly removed: readonly string[]
}

/** What the peer has confirmed to hold, as of now; it may go back. @see INV-27 */
export interface Standing {
  /** The peer holds all that this epoch has for it; 0 for none. */
  readonly epoch: number
  /** Why it refused what was sent last; `undefined` when it did not. */
  readonly nackReason: string | undefined
}

/** Bounds of one stream. */
export interface SessionLimits {
  /** Most names that one stream may ask for. */
  readonly names: number
}
