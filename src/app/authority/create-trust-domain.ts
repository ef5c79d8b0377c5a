import { STABLE } from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import type { Seconds } from "../../core/time.ts"
import type { AuthorityName } from "../../core/x509/names.ts"
import { parsePublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { AuditChain, AuditLog } from "../../ports/audit-log.ts"
import type { AuthorityJournal } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyAlgorithm, KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import { signRoot } from "../issue/sign-authority.ts"

export interface CreateTrustDomainDeps {
  readonly journal: AuthorityJournal
  readonly audit: AuditLog
  readonly chain: AuditChain
  readonly keys: KeyStore
  readonly clock: Clock
  readonly random: Random
}

export interface TrustDomainPlan {
  readonly trustDomain: TrustDomain
  readonly algorithm: KeyAlgorithm
  readonly rootTtl: Seconds
  readonly subject: { readonly commonName: string; readonly organization: string | undefined }
  readonly backdate: Seconds
}

/**
 * Make a trust domain: a root key, its certificate, and the record that says so. A crash before the last step leaves a key
 * that nothing refers to. @throws IdentityError `already-exists` when the store has a trust domain
 */
export async function createTrustDomain(plan: TrustDomainPlan, deps: CreateTrustDomainDeps): Promise<void> {
  // The journal refuses a second one as well, but only once all else has been written.
  if ((await deps.journal.read()) !== undefined) throw initialised()
  const tag = hex(deps.random(8))
  const keyId = `root-${tag}`
  const signer = await deps.keys.create(keyId, plan.algorithm)
  const publicKey = parsePublicKey(signer.publicKey)
  const now = deps.clock.now()
  const notAfter = now + plan.rootTtl
  const certificate = await signRoot(
    {
      serial: makeSerial(deps.random, ROOT_SERIAL_PREFIX),
      trustDomain: plan.trustDomain,
      subject: authorityName(plan.subject, tag),
      publicKey,
      notBefore: now - plan.backdate,
      notAfter,
    },
    signer,
  )
  const authority = publicKey.keyIdHex
  const incarnation = hex(deps.random(16))
  await deps.chain.start({ trustDomain: plan.trustDomain, incarnation }, now)
  await deps.audit.append({
    type: "authority.created",
    at: now,
    actor: "server",
    requestId: "init",
    authority,
    notAfter,
  })
  await deps.journal.create({
    trustDomain: plan.trustDomain,
    incarnation,
    revision: 1,
    epoch: 1,
    requiredEpoch: 1,
    roots: [{ keyId, certificate, notAfter, state: "active", crossCertificates: [] }],
    jwtKeys: [],
    rotations: { x509: STABLE, jwt: STABLE },
    controller: undefined,
  })
}

/** Names of authorities differ by a random tag: verifiers that find issuers by name must not mix them up. @see RINV-09 */
export function authorityName(subject: TrustDomainPlan["subject"], tag: string): AuthorityName {
  const { commonName, organization } = subject
  return { commonName: `${commonName} ${tag}`, ...(organization === undefined ? {} : { organization }) }
}

function initialised(): IdentityError {
  return new IdentityError("already-exists", "trust domain was initialised before")
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}

const ROOT_SERIAL_PREFIX = 1
