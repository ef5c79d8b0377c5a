import type { RotationCommand, RotationOutcome, WaiverRequest } from "../../core/authority/rotation-command.ts"
import { emergencyRefusal } from "../../core/authority/rotation-emergency.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import { withDeadline } from "../attest/with-deadline.ts"
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
 * write, too. One at a time in this process, each for {@link PATIENCE} at most: it comes to nothing then, and nothing is begun beside it while
 * it hangs, since it may take one thread of the pool each.
 * @throws IdentityError `conflict`, reason `emergency-being-declared`; `not-ready`, reason `emergency-stalled` @see ROT-66 ROT-67 ROT-77
 */
export function makeDeclareEmergency(deps: RotateDeps): DeclareEmergency {
  let underWay: Attempt | undefined
  return async (request, asking) => {
    if (underWay !== undefined) throw underWay.isGivenUp ? stalled() : beingDeclared()
    const attempt: Attempt = { isGivenUp: false }
    underWay = attempt
    const begin = () => declare(deps, attempt, request, asking).finally(() => (underWay = undefined))
    const outcome = await withDeadline(deps.clock, PATIENCE, NEVER, begin).catch((thrown: unknown) => {
      if (toIdentityError(thrown).code !== "deadline") throw thrown
      attempt.isGivenUp = true
      throw stalled()
    })
    // It is done whatever becomes of this, which the controller tries again.
    if (outcome.kind === "moved") {
      await withDeadline(deps.clock, FOLLOW_PATIENCE, NEVER, () => deps.authority.follow()).catch(() => undefined)
    }
    return outcome
  }
}

interface Attempt {
  /** Whoever waited for it was told that it came to nothing. */
  isGivenUp: boolean
}

async function declare(
  deps: RotateDeps,
  attempt: Attempt,
  request: EmergencyRequest,
  asking: Asking,
): Promise<RotationOutcome> {
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
    if (attempt.isGivenUp) throw new IdentityError("conflict", "it was given up")
    demandChosen(current, authority.kind, keyId)
    return { kind: "emergency", id, old: signingNow(authority, current), fresh, ...wish }
  }
  const outcome = await takeStep(deps, command, asking, made).catch(async (thrown: unknown) => {
    // After any other failure it may be done all the same.
    if (toIdentityError(thrown).code === "conflict") await giveUpChosen(deps, keyId)
    throw thrown
  })
  if (outcome.kind === "refused") await giveUpChosen(deps, keyId)
  return outcome
}

function beingDeclared(): IdentityError {
  return new IdentityError("conflict", "an emergency of this kind is being declared right now", {
    reason: "emergency-being-declared",
    next: "assay rotation status says when it is done, within 20 s; if it is not, say it again",
  })
}

function stalled(): IdentityError {
  return new IdentityError("not-ready", "the emergency is not known to be done: key store or store does not answer", {
    reason: "emergency-stalled",
    retryAfter: 5,
    next: "assay rotation status says whether it was; if not, look at keys.directory and storage.sqlite, and say it again; while it hangs, the server has to be started anew first",
  })
}

const NEVER = new AbortController().signal
/** A try to write, which may take 10 s, and an RSA key; with what follows less than the 30 s that `assay` waits for an answer. */
const PATIENCE: Millis = 20_000
const FOLLOW_PATIENCE: Millis = 5000
