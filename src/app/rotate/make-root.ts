import { rootProfileFaults } from "../../core/authority/root-profile.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Seconds } from "../../core/time.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import { parsePublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { RootRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import { createOrOpen } from "../authority/create-or-open.ts"
import { authorityName, type TrustDomainPlan } from "../authority/create-trust-domain.ts"
import { rootId } from "../authority/root-id.ts"
import type { TrustState } from "../authority/trust-state.ts"
import { signRoot } from "../issue/sign-authority.ts"
import { crossSign } from "./cross-sign.ts"
import type { AuthorityPlan } from "./rotated-authority.ts"

export interface MakeRootDeps {
  readonly trust: Pick<TrustState, "record">
  readonly keys: KeyStore
  readonly audit: AuditLog
  readonly clock: Pick<Clock, "now">
  readonly random: Random
  readonly root: RootPlan
}

/** Of a new root. */
export type RootPlan = Pick<TrustDomainPlan, "algorithm" | "subject" | "backdate"> & { readonly ttl: Seconds }

/**
 * The new root of a rotation: key, certificate, what the old root says of it, and the record of all. After a crash the key that was
 * made then is used. @throws IdentityError `conflict` when it is not what the old root is like @see RINV-08 RINV-09 ROT-70
 */
export async function makeRoot(deps: MakeRootDeps, planned: AuthorityPlan): Promise<RootRecord> {
  const { root: plan, trust, clock, random } = deps
  const signer = await createOrOpen(deps.keys, planned.keyId, plan.algorithm)
  try {
    const now = clock.now()
    const notAfter = now + plan.ttl
    const certificate = await signRoot(
      {
        serial: makeSerial(random, ROOT_SERIAL_PREFIX),
        trustDomain: trust.record().trustDomain,
        subject: authorityName(plan.subject, planned.keyId.replace("root-", "")),
        publicKey: parsePublicKey(signer.publicKey),
        notBefore: now - plan.backdate,
        notAfter,
      },
      signer,
    )
    const made = { keyId: planned.keyId, certificate, notAfter, state: "prepared" } as const
    const { roots, trustDomain } = trust.record()
    const old = roots.find((root) => rootId(root) === planned.old)
    refuseOther(old, made)
    const { audit } = deps
    const common = { at: now, actor: "server", requestId: planned.id } as const
    await audit.append({ ...common, type: "authority.created", authority: rootId(made), notAfter })
    const order = { certificate, trustDomain, requestId: planned.id }
    const isVouchedFor = old !== undefined && !planned.emergency
    return { ...made, crossCertificates: isVouchedFor ? await crossSign(deps, { ...order, earlier: old }) : [] }
  } finally {
    signer.forget() // opened again when it is its turn to sign
  }
}

type Certified = Pick<RootRecord, "certificate">

function refuseOther(old: Certified | undefined, made: Certified): void {
  if (old === undefined) return
  const faults = rootProfileFaults(parseCertificate(old.certificate), parseCertificate(made.certificate))
  if (faults.length > 0) {
    throw new IdentityError("conflict", `the new root is not like the old one: ${faults.join("; ")}`)
  }
}

const ROOT_SERIAL_PREFIX = 1
