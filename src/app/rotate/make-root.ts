import { rootProfileFaults } from "../../core/authority/root-profile.ts"
import type { Planned } from "../../core/authority/rotation-state.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import { parsePublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { RootRecord } from "../../ports/authority-journal.ts"
import type { KeyAlgorithm, KeyStore, Signer } from "../../ports/keys.ts"
import { authorityName } from "../authority/create-trust-domain.ts"
import { rootId } from "../authority/root-id.ts"
import { signRoot } from "../issue/sign-authority.ts"
import type { RotateDeps } from "./rotate-deps.ts"

/**
 * The new root of a planned rotation: key, certificate, and the record of both. After a crash the key that was made then is used.
 * @throws IdentityError `conflict` when it is not what the old root is like @see RINV-08 RINV-09
 */
export async function makeRoot(deps: RotateDeps, planned: Planned): Promise<RootRecord> {
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
    const made: RootRecord = { keyId: planned.keyId, certificate, notAfter, state: "prepared" }
    refuseOther(trust.record().roots, planned.old, made)
    const { audit } = deps
    const common = { at: now, actor: "server", requestId: planned.id } as const
    await audit.append({ ...common, type: "authority.created", authority: rootId(made), notAfter })
    return made
  } finally {
    signer.forget() // opened again when it is its turn to sign
  }
}

async function createOrOpen(keys: KeyStore, keyId: string, algorithm: KeyAlgorithm): Promise<Signer> {
  try {
    return await keys.create(keyId, algorithm)
  } catch (thrown) {
    if (toIdentityError(thrown).code !== "already-exists") throw thrown
    return keys.open(keyId)
  }
}

function refuseOther(roots: readonly RootRecord[], old: string, made: RootRecord): void {
  const before = roots.find((root) => rootId(root) === old)
  if (before === undefined) return
  const faults = rootProfileFaults(parseCertificate(before.certificate), parseCertificate(made.certificate))
  if (faults.length > 0) {
    throw new IdentityError("conflict", `the new root is not like the old one: ${faults.join("; ")}`)
  }
}

const ROOT_SERIAL_PREFIX = 1
