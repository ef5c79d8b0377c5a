import type { AuditEvent } from "../../core/audit/event.ts"
import type { BanSubject } from "../../core/ban/ban-index.ts"
import { keyNameOf } from "../../core/ban/key-name.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Renewal } from "../../core/lineage/lineage.ts"
import { isLineageRefusal } from "../../core/lineage/lineage-refusal.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { assembleCertificate } from "../../core/x509/assemble.ts"
import { parseCsr, verifyCsr, verifyProvenKey } from "../../core/x509/csr.ts"
import { IssuancePermit } from "../../core/x509/permit.ts"
import { refuseBlockedKey, type SubjectPublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { VerifySignature } from "../../core/x509/signature.ts"
import type { AuthorityJournal } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignedIntent, SignIntent, SigningOrder } from "../../ports/intent-signer.ts"
import { type Intent, MAX_REUSE, type Requester } from "../../ports/issuance-log.ts"
import type { Random } from "../../ports/random.ts"
import type { IssuingAuthorities, IssuingAuthority } from "../authority/issuing-authorities.ts"
import type { IssueEvents } from "./events.ts"
import { issueAcrossEmergency } from "./hear-of-emergencies.ts"
import { idempotencyKey } from "./intent.ts"
import { chooseLifetime } from "./lifetime.ts"
import type { KeyEvidence, X509Svid } from "./requests.ts"

export interface CertifyDeps {
  readonly issuing: IssuingAuthorities
  readonly signIntent: SignIntent
  readonly journal: Pick<AuthorityJournal, "readIssuing">
  readonly clock: Clock
  readonly random: Random
  readonly events: Pick<IssueEvents, "x509Issued" | "renewalRefused">
  /** Where proofs of possession are verified. */
  readonly verify: VerifySignature
  readonly profile: X509Profile
}

export interface X509Profile {
  /** @see LifetimeBounds */
  readonly jitter: number
  readonly backdate: Seconds
  readonly csrBytes: () => number
  /** First octet of every serial of this replica, 1 to 255. */
  readonly serialPrefix: number
}

/** A certificate that was decided on. */
export interface CertificateOrder {
  readonly key: KeyEvidence
  readonly id: SpiffeId
  readonly hint: string
  readonly dnsNames: readonly string[]
  readonly rule: string
  /** What the rules give. */
  readonly ttl: Seconds
  /** What the caller wants, at most. */
  readonly wantedTtl: Seconds | undefined
  readonly evidenceExpiresAt: Instant
  /** It must not live longer than this, however long it took until it was signed; `undefined`: only the rest bounds it. */
  readonly notAfter?: Instant
  readonly requester: Requester
  /** Everybody for whom it is; the key is added here. */
  readonly subject: BanSubject
  /** What it renews; `undefined` for a certificate that is part of no lineage. @see LIN-01 */
  readonly renews?: Omit<Renewal, "key"> | undefined
  readonly requestId: string
  /** The audit record of the decision. */
  readonly decision: (intent: Intent) => AuditEvent
}

/** The issuance cycle for X.509-SVIDs from the proof of possession on, as in `spec/issuance-cycle.md`. */
export type Certify = (order: CertificateOrder, signal: AbortSignal) => Promise<X509Svid>

export function makeCertify(deps: CertifyDeps): Certify {
  const underWay = new Map<string, Promise<X509Svid>>()
  return async (order, signal) => {
    const { evidenceDigest, namespace } = order.requester
    const key = await proveKey(deps, order.key, evidenceDigest)
    const current = () => deps.issuing.current({ spiffeId: order.id, namespace })
    const { id, wantedTtl } = order
    const identical = idempotencyKey({ spki: key.spki, evidenceDigest, id, wantedTtl })
    return issueAcrossEmergency(async () => {
      const authority = await deps.issuing.whenReplaced(current, signal)
      refuseBlockedKey(key, deps.issuing.authorityKeyIds())
      const running = underWay.get(identical)
      if (running !== undefined) return running
      const issuing = issue(deps, { order, key, authority, identical })
      underWay.set(identical, issuing)
      return issuing.finally(() => underWay.delete(identical))
    })
  }
}

/** What steps 4 to 8 work on. */
interface Ready {
  readonly order: CertificateOrder
  readonly key: SubjectPublicKey
  readonly authority: IssuingAuthority
  /** {@link idempotencyKey}. */
  readonly identical: string
}

async function issue(deps: CertifyDeps, ready: Ready): Promise<X509Svid> {
  const { order, authority } = ready
  const now = deps.clock.now()
  const permit = prepare(deps, ready, now)
  const intent: Intent = {
    serial: permit.serial,
    kind: "x509",
    authorityId: authority.authorityId,
    epoch: authority.epoch,
    spiffeId: order.id,
    hint: order.hint,
    tbs: permit.redeem(authority.authorityId),
    notBefore: permit.notBefore,
    notAfter: permit.notAfter,
    createdAt: now,
    requester: order.requester,
    rule: order.rule,
    idempotencyKey: Buffer.from(ready.identical, "hex"),
  }
  const decision = order.decision(intent)
  const reuseSince = now - reuseWindow(permit.notAfter - now)
  const subject = new KeyedSubject(order.subject, ready.key)
  const renewal = order.renews && { ...order.renews, key: ready.key.keyIdHex }
  const { signer } = authority
  const result = await sign(deps, { intent, decision, reuseSince, subject, renewal, signer, form: "der" })
  if (result.kind === "already-issued") return recall(deps, result.intent, result.signature)
  const svid = assemble(intent, result.signature, authority.certificate)
  deps.events.x509Issued(svid, order.requestId)
  return svid
}

/** Counts what the lineage of the certificate does not allow; the record of it is in the audit log already. @see INV-31 */
async function sign({ signIntent, events }: CertifyDeps, order: SigningOrder): Promise<SignedIntent> {
  try {
    return await signIntent(order)
  } catch (thrown) {
    if (thrown instanceof IdentityError && isLineageRefusal(thrown)) {
      events.renewalRefused(order.intent.spiffeId, order.decision.requestId, thrown)
    }
    throw thrown
  }
}

/** A subject and its key, whose name is a digest: it is made when there are bans of keys. */
class KeyedSubject implements BanSubject {
  readonly ids: BanSubject["ids"]
  readonly places: BanSubject["places"]
  readonly #keys: readonly string[]
  readonly #key: SubjectPublicKey

  constructor({ ids, places, keys }: BanSubject, key: SubjectPublicKey) {
    this.ids = ids
    this.places = places
    this.#keys = keys
    this.#key = key
  }

  get keys(): readonly string[] {
    return [...this.#keys, keyNameOf(this.#key.spki)]
  }
}

function prepare(deps: CertifyDeps, { order, authority, key }: Ready, now: Instant): IssuancePermit {
  if (order.notAfter !== undefined && order.notAfter <= now) throw requestRefusal("token-expired")
  const life = chooseLifetime({
    now,
    wanted: order.wantedTtl,
    granted: Math.min(order.ttl, (order.notAfter ?? Number.POSITIVE_INFINITY) - now),
    issuerNotBefore: authority.notBefore,
    issuerNotAfter: authority.notAfter,
    evidenceExpiresAt: order.evidenceExpiresAt,
    jitter: deps.profile.jitter,
    fraction: (deps.random(1)[0] ?? 0) / 255,
    backdate: deps.profile.backdate,
  })
  if (life === undefined)
    throw new IdentityError("not-ready", "the issuing authority is out of date", { retryAfter: 5 })
  const serial = makeSerial(deps.random, deps.profile.serialPrefix, deps.clock.monotonic())
  const leaf = { serial, spiffeId: order.id, dnsNames: order.dnsNames, publicKey: key, ...life }
  return IssuancePermit.prepare(authority.template, leaf)
}

function proveKey(
  { verify, profile }: CertifyDeps,
  evidence: KeyEvidence,
  evidenceDigest: Uint8Array,
): Promise<SubjectPublicKey> {
  if (evidence.kind === "csr") return verifyCsr(parseCsr(evidence.der, { maxBytes: profile.csrBytes() }), verify)
  return verifyProvenKey({ publicKey: evidence.publicKey, proof: evidence.proof, evidenceDigest }, verify)
}

/** The certificate that an earlier try of the same request was given. */
async function recall(deps: CertifyDeps, intent: Intent, signature: Uint8Array): Promise<X509Svid> {
  const issuer = await deps.journal.readIssuing(intent.authorityId)
  return assemble(intent, signature, issuer.certificate)
}

function assemble(intent: Intent, signature: Uint8Array, issuer: Uint8Array): X509Svid {
  return {
    spiffeId: intent.spiffeId,
    hint: intent.hint,
    serial: intent.serial,
    chain: [assembleCertificate(intent.tbs, signature), issuer],
    notAfter: intent.notAfter,
    epoch: intent.epoch,
  }
}

/** How long a retry of the same request gets the same certificate: less when certificates of this `life` soon expire. */
function reuseWindow(life: Seconds): Seconds {
  return Math.min(MAX_REUSE, Math.floor(life / 4))
}
