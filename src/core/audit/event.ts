import type { BanKind } from "../ban/ban.ts"
import type { Instant } from "../time.ts"

/** What happened, for the security team. Never holds a token, a key or a raw body. @see INV-33 */
export type AuditEvent =
  | (Common & {
      readonly type: "svid.granted"
      readonly kind: "x509" | "jwt"
      readonly spiffeId: string
      readonly serial: string
      /** Who signs: hex of the issuing authority's key identifier, or the `kid`. */
      readonly authority: string
      /** The epoch of its intent, as in the issuance log. */
      readonly epoch: number
      /** Serial that the caller quoted; empty when it held nothing, and for tokens. @see LIN-01 */
      readonly renews: string
      readonly rule: string
      readonly revision: string
      readonly degraded: boolean
    })
  | (Common & {
      readonly type: "svid.refused"
      readonly kind: "x509" | "jwt"
      readonly code: string
      readonly reason: string
    })
  | (Common &
      Counted & {
        /** A subscription or a remote SDS stream was refused to the banned. @see BAN-06 */
        readonly type: "stream.refused"
        readonly code: string
        readonly reason: string
      })
  | (Common & {
      /** Incident: the certificate that a caller wanted to replace was not its own, or had been replaced before. @see INV-31 */
      readonly type: "lineage.violated"
      readonly spiffeId: string
      /** Of the certificate that was quoted. */
      readonly serial: string
      /** Newest of its lineage; empty when it was given to another pod or for another identity. */
      readonly current: string
      /** The pod of the caller gets no more certificates of this identity. */
      readonly frozen: boolean
    })
  | (Common & {
      /** About to be signed for somebody who came to the token endpoint. */
      readonly type: "token.granted"
      readonly product: "access-token" | "jwt-svid" | "x509-svid"
      readonly grant: string
      readonly subject: string
      readonly clientId: string
      /** Newest first. */
      readonly actors: readonly string[]
      readonly audience: readonly string[]
      readonly scope: readonly string[]
      readonly binding: string
      /** `jti`, or the serial of a certificate. */
      readonly serial: string
      readonly authority: string
      readonly epoch: number
      /** The pair of rules: who exports, who accepts. */
      readonly exports: string
      readonly accepts: string
      readonly revision: string
      /** How the client and the subject were proven. */
      readonly proofs: readonly string[]
      readonly degraded: boolean
      /** Parameters of the request that are not known here. @see CC-02 */
      readonly ignored: readonly string[]
    })
  | (Common & {
      readonly type: "token.refused"
      readonly grant: string
      readonly subject: string
      readonly clientId: string
      readonly audience: readonly string[]
      readonly code: string
      readonly reason: string
    })
  | (Common & {
      /** A root was made, or an issuing authority is about to sign. Recorded before it does. */
      readonly type: "authority.created" | "authority.adopted"
      /** Hex of the subject key identifier. */
      readonly authority: string
      readonly notAfter: Instant
    })
  | (Common & {
      /** A root vouches for the next one. Recorded before anybody sees the certificate. @see ROT-70 */
      readonly type: "authority.crossed"
      /** Of whom, and by whom: hex of the subject key identifiers. */
      readonly authority: string
      readonly issuer: string
      readonly serial: string
      readonly notAfter: Instant
    })
  | (Common & {
      /** A JWT key was made. What becomes of it is the rotation's to say; the very first ones sign at once. */
      readonly type: "jwt-key.created"
      /** Its `kid`. */
      readonly authority: string
      readonly algorithm: string
    })
  | (Common & {
      /** A rotation is about to change: a record may stand for a change that failed and was tried again. */
      readonly type: "rotation.changed"
      readonly kind: "x509" | "jwt"
      readonly rotation: string
      readonly change: string
      readonly from: string
      readonly to: string
      readonly old: string
      readonly next: string
      /** What leaves together with the old one, in an emergency. */
      readonly others: readonly string[]
      readonly epoch: number
      /** Why, in the operator's words or the machine's; empty for a plain step. */
      readonly reason: string
      /** Who is not waited for from now on: the first 1000 of them, and how many in all. */
      readonly waived: readonly string[]
      readonly waivedCount: number
    })
  | (Common & {
      /** Nobody shall accept this token any more; in force when recorded. */
      readonly type: "token.revoked"
      readonly tokenId: string
      readonly subject: string
      readonly clientId: string
    })
  | (Common & {
      /** Nobody shall accept a token of this subject that was issued at `issuedUntil` or before. */
      readonly type: "subject.revoked"
      readonly subject: string
      readonly issuedUntil: Instant
    })
  | (Common & {
      /** An authenticated caller asked about a token; `tokenId` is empty for one that is not ours. */
      readonly type: "token.introspected"
      readonly tokenId: string
      readonly active: boolean
    })
  | (Common & {
      /** The chain begins here; also when a store that was restored goes on. @see AUD-11 */
      readonly type: "audit.started"
      readonly trustDomain: string
      readonly incarnation: string
      /** How many records there were before. */
      readonly before: number
      /** Hash of the record before; of records older than the chain, computed as if they were in it. */
      readonly digest: string
    })
  | (Common & {
      /** A store that came from a backup, or is new, goes on as another incarnation of the trust domain. @see INV-24 */
      readonly type: "store.restored"
      readonly incarnation: string
      /** The incarnation before, as far as it is known. */
      readonly before: string
      /** Where the authorities were taken from: `store`, or `key-folder` when that knew more. */
      readonly source: string
      readonly epoch: number
    })
  | (Common & {
      /** Somebody with the sealing key saw the chain as it was. @see AUD-13 */
      readonly type: "audit.sealed"
      readonly sequence: number
      readonly hash: string
      readonly mac: string
    })
  | (Common & {
      /** An operator may do this, and is about to. */
      readonly type: "admin.permitted"
      readonly operation: string
      /** What it is done to; empty for what names nothing. */
      readonly target: string
      readonly role: string
      readonly dryRun: boolean
    })
  | (Common &
      Counted & {
        /** An authenticated caller may not do this. */
        readonly type: "admin.refused"
        readonly operation: string
        readonly target: string
        readonly code: string
        readonly reason: string
      })
  | (Common & {
      /** What was permitted did not succeed. */
      readonly type: "admin.failed"
      readonly operation: string
      readonly target: string
      readonly code: string
      readonly reason: string
    })
  | (Common &
      Counted & {
        /** Somebody was not let in at the admin API. Its actor is what was proven of him all the same. @see ADM-26 */
        readonly type: "login.refused"
        readonly operation: string
        /** The peer's address; `socket` for the local one. */
        readonly source: string
        readonly code: string
        readonly reason: string
      })
  | (Common & {
      /** An operator may do this, and it waits for a second one. @see ADM-21 */
      readonly type: "admin.proposed"
      readonly operation: string
      readonly target: string
      readonly role: string
      readonly proposal: string
      /** SHA-256 over operation and request, hex. */
      readonly digest: string
      readonly expiresAt: Instant
    })
  | (Common & {
      /**
       * A second one decided; what was approved is about to be done. `stale`: it was proposed over a state that is no more.
       * `resumed`: it was approved before, nothing of it was done, and it is about to be. @see ADM-28
       */
      readonly type: "admin.decided"
      readonly operation: string
      readonly target: string
      readonly proposal: string
      readonly digest: string
      readonly outcome: "approved" | "rejected" | "stale" | "resumed"
      /** Who proposed it, as in the record of that. */
      readonly proposer: string
    })
  | (Common & {
      /** What came of a proposal that was approved. */
      readonly type: "admin.executed"
      readonly operation: string
      readonly target: string
      readonly proposal: string
      readonly digest: string
      readonly outcome: "done" | "failed"
      /** Why it failed; else empty. */
      readonly reason: string
      readonly proposer: string
    })
  | (Common & {
      /** Nothing is issued to whom this names from now on; in force when recorded. */
      readonly type: "ban.added"
      readonly ban: BanKind
      readonly name: string
      readonly reason: string
      /** 0: until it is lifted. */
      readonly until: Instant
    })
  | (Common & {
      readonly type: "ban.lifted"
      readonly ban: BanKind
      readonly name: string
      readonly reason: string
    })
  | (Common & {
      /** What is trusted of another trust domain is this from now on. It may stand for a write that failed and was tried again. @see TD-20 */
      readonly type: "federation.accepted"
      readonly trustDomain: string
      readonly bundleSequence: number
      /** SHA-256 of each certificate, hex: the first 64 of them, and how many in all. */
      readonly x509Authorities: readonly string[]
      readonly x509Count: number
      /** The `kid` of each JWT key, likewise. */
      readonly jwtAuthorities: readonly string[]
      readonly jwtCount: number
    })
  | (Common & {
      /** What was kept of another trust domain is no more: it left the configuration, or was kept before a restore. */
      readonly type: "federation.forgotten"
      readonly trustDomain: string
      readonly reason: "not-configured" | "restored"
    })

/** Of what many can ask for at no cost: one event may stand for more, and is the newest of them. @see ADM-27 */
interface Counted {
  /** How many. */
  readonly count: number
  /** When the first of them was. */
  readonly since: Instant
}

interface Common {
  readonly at: Instant
  /** Who asked, as far as is known: `k8s:<cluster>/<namespace>/<service account>[/<pod>]`, `server`, `unknown`, or an operator (`callerText`). */
  readonly actor: string
  /** Names the request in logs and in replies. */
  readonly requestId: string
}
