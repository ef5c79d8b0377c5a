import { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Grant } from "../../core/policy/grant.ts"
import type { Seconds } from "../../core/time.ts"
import { assembleCertificate } from "../../core/x509/assemble.ts"
import { parseCsr, verifyCsr, verifyProvenKey } from "../../core/x509/csr.ts"
import { IssuancePermit } from "../../core/x509/permit.ts"
import { refuseBlockedKey, type SubjectPublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { VerifySignature } from "../../core/x509/signature.ts"
import type { AuthorityJournal } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignIntent } from "../../ports/intent-signer.ts"
import type { Intent } from "../../ports/issuance-log.ts"
import type { Random } from "../../ports/random.ts"
import type { IssuingAuthorities, IssuingAuthority } from "../authority/issuing-authorities.ts"
import type { Authorize } from "./authorize.ts"
import type { IssueEvents } from "./events.ts"
import { grantedEvent, idempotencyKey, requesterOf } from "./intent.ts"
import { chooseLifetime } from "./lifetime.ts"
import type { IssueX509, KeyEvidence, X509Request, X509Svid } from "./requests.ts"

export interface IssueX509Deps {
  readonly authorize: Authorize
  readonly issuing: IssuingAuthorities
  readonly signIntent: SignIntent
  readonly journal: Pick<AuthorityJournal, "readIssuing">
  readonly clock: Clock
  readonly random: Random
  readonly events: IssueEvents
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

/** The issuance cycle for X.509-SVIDs, step by step as in `spec/issuance-cycle.md`. */
export function makeIssueX509(deps: IssueX509Deps): IssueX509 {
  const underWay = new Map<string, Promise<X509Svid>>()
  return async (request, signal) => {
    const { attested, grant } = await deps.authorize(request, "x509", signal)
    const key = await proveKey(deps, request.key, attested.claims.evidenceDigest)
    const authority = deps.issuing.current()
    refuseBlockedKey(key, deps.issuing.authorityKeyIds())
    const identical = idempotencyKey([key.spki, attested.claims.evidenceDigest, grant.id, `${request.ttl}`])
    const name = identical.toString("latin1")
    const running = underWay.get(name)
    if (running !== undefined) return running
    const issuing = issue(deps, { request, attested, grant, key, authority, identical })
    underWay.set(name, issuing)
    try {
      return await issuing
    } finally {
      underWay.delete(name)
    }
  }
}

/** What steps 4 to 8 work on. */
interface Order {
  readonly request: X509Request
  readonly attested: Attested
  readonly grant: Grant
  readonly key: SubjectPublicKey
  readonly authority: IssuingAuthority
  readonly identical: Uint8Array
}

async function issue(deps: IssueX509Deps, order: Order): Promise<X509Svid> {
  const { grant, authority, attested, request } = order
  const now = deps.clock.now()
  const permit = prepare(deps, order, now)
  const intent: Intent = {
    serial: permit.serial,
    kind: "x509",
    authorityId: authority.authorityId,
    epoch: authority.epoch,
    spiffeId: grant.id,
    hint: grant.hint,
    tbs: permit.redeem(authority.authorityId),
    notBefore: permit.notBefore,
    notAfter: permit.notAfter,
    createdAt: now,
    requester: requesterOf(attested),
    rule: grant.rule,
    idempotencyKey: order.identical,
  }
  const decision = grantedEvent("x509", attested, grant, permit.serial, request.requestId, now)
  const reuseSince = now - reuseWindow(permit.notAfter - now)
  const result = await deps.signIntent({ intent, decision, reuseSince, signer: authority.signer, form: "der" })
  if (result.kind === "already-issued") return recall(deps, result.intent, result.signature)
  const svid = assemble(intent, result.signature, authority.certificate)
  deps.events.x509Issued(svid, request.requestId)
  return svid
}

function prepare(deps: IssueX509Deps, order: Order, now: number): IssuancePermit {
  const { grant, authority, attested, request, key } = order
  const life = chooseLifetime({
    now,
    wanted: request.ttl,
    granted: grant.x509Ttl,
    issuerNotBefore: authority.notBefore,
    issuerNotAfter: authority.notAfter,
    evidenceExpiresAt: attested.claims.expiresAt,
    jitter: deps.profile.jitter,
    fraction: (deps.random(1)[0] ?? 0) / 255,
    backdate: deps.profile.backdate,
  })
  if (life === undefined)
    throw new IdentityError("not-ready", "the issuing authority is out of date", { retryAfter: 5 })
  const serial = makeSerial(deps.random, deps.profile.serialPrefix)
  const leaf = { serial, spiffeId: grant.id, dnsNames: grant.dnsNames, publicKey: key, ...life }
  return IssuancePermit.prepare(authority.template, leaf)
}

function proveKey(
  { verify, profile }: IssueX509Deps,
  evidence: KeyEvidence,
  evidenceDigest: Uint8Array,
): Promise<SubjectPublicKey> {
  if (evidence.kind === "csr") return verifyCsr(parseCsr(evidence.der, { maxBytes: profile.csrBytes() }), verify)
  return verifyProvenKey({ publicKey: evidence.publicKey, proof: evidence.proof, evidenceDigest }, verify)
}

/** The certificate that an earlier try of the same request was given. */
async function recall(deps: IssueX509Deps, intent: Intent, signature: Uint8Array): Promise<X509Svid> {
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

const MAX_REUSE: Seconds = 60
