import { isPublished } from "../../core/authority/authority-roles.ts"
import { isCanary } from "../../core/authority/canary.ts"
import type { RotationPhase } from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { type CertificateView, parseCertificate } from "../../core/x509/certificate.ts"
import { type LeafTemplate, prepareLeafTemplate } from "../../core/x509/leaf-template.ts"
import { verifyIssuingAuthority } from "../../core/x509/path.ts"
import { parsePublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { AuthorityJournal, RootRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { EphemeralKeys, KeyAlgorithm, KeyStore, Signer } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"
import { signIssuing } from "../issue/sign-authority.ts"
import { authorityName, type TrustDomainPlan } from "./create-trust-domain.ts"
import type { AuthorityEvents } from "./events.ts"
import { rootId } from "./root-id.ts"
import type { TrustState } from "./trust-state.ts"
import { beingReplaced, makeWhenReplaced, type WhenReplaced } from "./when-replaced.ts"

/** What signs leaves in this process. Its key is made here and never leaves. */
export interface IssuingAuthority {
  /** Hex of its subject key identifier. */
  readonly authorityId: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly template: LeafTemplate
  readonly signer: Signer
  readonly notBefore: Instant
  readonly notAfter: Instant
  /** When half of the life is over that it had when it was made. It is dated back, which plays no part. @see AUT-12 */
  readonly half: Instant
  /** The least epoch of a bundle that verifies its chain, and the chains of everybody else. @see RINV-04 */
  readonly epoch: number
  readonly rootKeyId: string
}

/** For whom something is signed: canaries of a rotation get it from the new root. */
export interface SignedFor {
  readonly spiffeId: string
  readonly namespace: string
}

export interface IssuingAuthorities {
  /** @throws IdentityError `not-ready` when it is out of date, or its root is not trusted any more; the latter is worth {@link whenReplaced} */
  current(caller?: SignedFor): IssuingAuthority
  /** For {@link current}. @see AUT-14 */
  readonly whenReplaced: WhenReplaced
  /** Key identifiers of authorities, in hex: keys that must never be a workload's. @see INV-09 */
  authorityKeyIds(): ReadonlySet<string>
  /** Sign below the root that the record says, canaries included, from when this resolves. Nothing is made when that is so already. */
  follow(): Promise<void>
  /** Key identifier of the root that {@link current} chains to, in hex. */
  signsWith(): string
  /** Below the root that a rotation has published and that does not sign yet; `undefined`: there is none. For the server's own probe alone. @see EV-4 */
  prepared(): IssuingAuthority | undefined
  /** Make a new one and sign with it from now on. Chains change, bundles do not. */
  rotate(): Promise<void>
  /** {@link rotate} at half the life, until `signal` aborts. A failure is tried again, ever more slowly. */
  run(signal: AbortSignal): Promise<void>
}

export interface IssuingDeps {
  readonly trust: TrustState
  readonly keys: KeyStore
  readonly ephemeral: EphemeralKeys
  readonly journal: AuthorityJournal
  readonly audit: AuditLog
  readonly clock: Clock
  readonly guard: ClockGuard
  readonly random: Random
  readonly events: AuthorityEvents
  readonly plan: IssuingPlan
}

export interface IssuingPlan {
  readonly algorithm: KeyAlgorithm
  readonly ttl: Seconds
  readonly backdate: Seconds
  readonly subject: TrustDomainPlan["subject"]
  readonly serialPrefix: number
}

/** Open the issuing authority of this process: a new one at each start. */
export async function openIssuingAuthorities(deps: IssuingDeps): Promise<IssuingAuthorities> {
  let current = await makeIssuing(deps, activeRoot(deps))
  let previous: IssuingAuthority | undefined
  let canary: IssuingAuthority | undefined
  let lastCanary: IssuingAuthority | undefined
  let blocked = keyIds(deps, current)
  const inTurn = makeInTurn() // so that none that was begun before the root changed takes the place of a newer one
  const replace = async () => {
    const next = await makeIssuing(deps, activeRoot(deps))
    // The one before may still be asked by a request that is under way; the one before that is not.
    previous?.signer.forget()
    previous = current
    current = next
    blocked = keyIds(deps, current)
    tellAdopted(deps, current)
  }
  const rotate = () => inTurn(replace)
  const adopt = async () => {
    if (current.rootKeyId !== activeRoot(deps).keyId) await replace()
    const root = canaryRoot(deps)
    if (root?.keyId === canary?.rootKeyId && !(canary && deps.clock.now() >= canary.half)) return
    const next = root === undefined ? undefined : await makeIssuing(deps, root)
    if (canary !== undefined) {
      lastCanary?.signer.forget()
      lastCanary = canary
    }
    canary = next
    blocked = keyIds(deps, current)
  }
  const follow = () => inTurn(adopt)
  const isDone = () => isTrusted(deps, current)
  await follow()
  tellAdopted(deps, current)
  return {
    current: (caller) => {
      current = upToDate(deps, current)
      if (canary === undefined || caller === undefined || !isCanaryNow(deps, canary, caller))
        return usable(deps, current)
      canary = upToDate(deps, canary)
      return usable(deps, canary)
    },
    whenReplaced: makeWhenReplaced({ follow, isDone, guard: deps.guard, clock: deps.clock }),
    authorityKeyIds: () => blocked,
    follow,
    signsWith: () => rootIdOf(deps, current),
    prepared: () => canary,
    rotate,
    run: async (signal) => {
      let retry = FIRST_RETRY
      while (!signal.aborted) {
        const wait = current.half - deps.clock.now()
        if (wait > 0 || !deps.guard.steady()) {
          await deps.clock.sleep(Math.min(Math.max(wait, 1), MAX_SLEEP) * 1000, signal)
          continue
        }
        try {
          await rotate()
          retry = FIRST_RETRY
        } catch (thrown) {
          deps.events.stepFailed("issuing-authority", thrown)
          await deps.clock.sleep(retry * 1000, signal)
          retry = Math.min(retry * 2, MAX_RETRY)
        }
      }
    },
  }
}

/** The same one, as long as no bundle became necessary that it does not name. */
function upToDate(deps: IssuingDeps, authority: IssuingAuthority): IssuingAuthority {
  const epoch = deps.trust.record().requiredEpoch
  return authority.epoch < epoch ? { ...authority, epoch } : authority
}

/** @throws IdentityError `not-ready` @see INV-07 */
function usable(deps: IssuingDeps, authority: IssuingAuthority): IssuingAuthority {
  if (!isTrusted(deps, authority)) throw beingReplaced("the issuing authority is being replaced")
  if (deps.clock.now() >= authority.notAfter) {
    throw new IdentityError("not-ready", "the issuing authority is out of date", { retryAfter: 5 })
  }
  return authority
}

function isTrusted(deps: IssuingDeps, { rootKeyId }: IssuingAuthority): boolean {
  return deps.trust.record().roots.some(({ keyId, state }) => keyId === rootKeyId && isPublished(state))
}

/** The record decides at each signature, so that a canary ends when it is over and not when somebody gets round to it. */
function isCanaryNow(deps: IssuingDeps, canary: IssuingAuthority, caller: SignedFor): boolean {
  const rotation = deps.trust.record().rotations.x509
  return rotation.phase === "canary" && rotation.keyId === canary.rootKeyId && isCanary(rotation.canary, caller)
}

function canaryRoot(deps: IssuingDeps): RootRecord | undefined {
  const { rotations, roots } = deps.trust.record()
  const rotation = rotations.x509
  return BEFORE_IT_SIGNS.includes(rotation.phase) && "keyId" in rotation
    ? roots.find(({ keyId }) => keyId === rotation.keyId)
    : undefined
}

function rootIdOf(deps: IssuingDeps, authority: IssuingAuthority): string {
  const root = deps.trust.record().roots.find(({ keyId }) => keyId === authority.rootKeyId)
  return root === undefined ? "" : rootId(root)
}

/** One that cannot be adopted leaves no key behind: it is tried again and again. */
async function makeIssuing(deps: IssuingDeps, root: RootRecord): Promise<IssuingAuthority> {
  const signer = await deps.ephemeral.makeSigner(deps.plan.algorithm)
  try {
    return await adoptSigner(deps, root, signer)
  } catch (thrown) {
    signer.forget()
    throw thrown
  }
}

async function adoptSigner(deps: IssuingDeps, rootRecord: RootRecord, signer: Signer): Promise<IssuingAuthority> {
  const { plan, clock, random } = deps
  const root = parseCertificate(rootRecord.certificate)
  const now = clock.now()
  const life = validity(now, plan, root)
  const publicKey = parsePublicKey(signer.publicKey)
  const rootSigner = await deps.keys.open(rootRecord.keyId)
  const certificate = await signIssuing(
    {
      serial: makeSerial(random, plan.serialPrefix),
      trustDomain: deps.trust.record().trustDomain,
      subject: authorityName(plan.subject, Buffer.from(random(8)).toString("hex")),
      publicKey,
      ...life,
    },
    root,
    rootSigner,
  ).finally(() => rootSigner.forget())
  const issuer = verifyIssuingAuthority(certificate, deps.trust.snapshot().own, now)
  const authorityId = publicKey.keyIdHex
  const { notAfter } = life
  await deps.audit.append({
    type: "authority.adopted",
    at: now,
    actor: "server",
    requestId: "issuing",
    authority: authorityId,
    notAfter,
  })
  await deps.journal.adoptIssuing({ authorityId, certificate, rootKeyId: rootRecord.keyId, notAfter })
  const template = prepareLeafTemplate({ issuer })
  const epoch = deps.trust.snapshot().epoch
  const half = now + (notAfter - now) / 2
  return { authorityId, certificate, template, signer, ...life, half, epoch, rootKeyId: rootRecord.keyId }
}

function activeRoot(deps: IssuingDeps): RootRecord {
  const root = deps.trust.record().roots.find(({ state }) => state === "active")
  if (root === undefined) throw new IdentityError("not-ready", "no root authority is active")
  return root
}

/** Dated back well beyond the leaves', whose start it must not cut off. @throws IdentityError `not-ready` */
function validity(now: Instant, plan: IssuingPlan, root: CertificateView): { notBefore: Instant; notAfter: Instant } {
  const notAfter = Math.min(now + plan.ttl, root.notAfter)
  if (notAfter <= now) {
    throw new IdentityError("not-ready", "the root certificate has expired", { reason: "root-expired" })
  }
  return { notBefore: Math.max(now - plan.backdate, root.notBefore), notAfter }
}

function tellAdopted({ events }: IssuingDeps, { authorityId, notAfter, half }: IssuingAuthority): void {
  events.issuingAdopted(authorityId, notAfter, 2 * (notAfter - half))
}

function keyIds(deps: IssuingDeps, current: IssuingAuthority): ReadonlySet<string> {
  return new Set([current.authorityId, ...deps.trust.record().roots.map(rootId)])
}

/** A root is published in these, and signs for canaries at most. */
const BEFORE_IT_SIGNS: readonly RotationPhase[] = ["publishing", "published", "canary"]
const FIRST_RETRY: Seconds = 1
const MAX_RETRY: Seconds = 60
/** Looks at the clock at least this often, in case it jumped. */
const MAX_SLEEP: Seconds = 60
