import type { RotationCommand, RotationOutcome, WaiverRequest } from "../../core/authority/rotation-command.ts"
import { emergencyRefusal } from "../../core/authority/rotation-emergency.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import { chooseKey, demandChosen, giveUpChosen } from "./loose-keys.ts"
import type { Asking, RotateDeps } from "./rotate-deps.ts"
import { refuseStale } from "./rotation-over.ts"
import { signingNow } from "./signing-now.ts"
import { contextOf, takeStep } from "./take-step.ts"

export interface EmergencyRequest extends WaiverRequest {
  /** Also when one is under way: what that one made counts as stolen, too. Default: no. */
  readonly again?: boolean
}

export type DeclareEmergency = (request: EmergencyRequest, asking: Asking) => Promise<RotationOutcome>

/**
 * Put a fresh authority in the place of all that there are, in any phase. Its key is named in the record, made, and takes over in one
 * write, so that a crash at any point leaves the rotation as it was, or the emergency done. What it was approved over must be so at that
 * write, too. One at a time in this process.
 * @see ROT-66 ROT-67
 */
export function makeDeclareEmergency(deps: RotateDeps): DeclareEmergency {
  let isUnderWay = false
  return async (request, asking) => {
    if (isUnderWay) throw new IdentityError("conflict", "an emergency of this kind is being declared right now")
    isUnderWay = true
    try {
      return await declare(deps, request, asking)
    } finally {
      isUnderWay = false
    }
  }
}

async function declare(deps: RotateDeps, request: EmergencyRequest, asking: Asking): Promise<RotationOutcome> {
  const { authority, trust, random } = deps
  const record = trust.record()
  refuseStale(deps, record, asking)
  const old = signingNow(authority, record)
  const { again = false, ...waiver } = request
  const wish = { waiver, again }
  const refused = emergencyRefusal(record.rotations[authority.kind], { ...wish, old }, await contextOf(deps, record))
  if (refused !== undefined) return refused // nothing is made for it
  const tag = Buffer.from(random(8)).toString("hex")
  const [id, keyId] = [`rotation-${tag}`, authority.keyId(tag)]
  await chooseKey(deps, keyId)
  const made = await authority.make({ id, old, keyId, emergency: true })
  const fresh = { next: made.id, keyId, notAfter: made.notAfter }
  const command = (current: AuthorityRecord): RotationCommand => {
    demandChosen(current, authority.kind, keyId)
    return { kind: "emergency", id, old: signingNow(authority, current), fresh, ...wish }
  }
  const outcome = await takeStep(deps, command, asking, made).catch(async (thrown: unknown) => {
    // After any other failure it may be done all the same.
    if (toIdentityError(thrown).code === "conflict") await giveUpChosen(deps, keyId)
    throw thrown
  })
  if (outcome.kind === "refused") await giveUpChosen(deps, keyId)
  else await authority.follow().catch(() => undefined) // the controller tries it again
  return outcome
}
