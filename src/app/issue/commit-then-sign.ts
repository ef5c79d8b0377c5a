import { digestSigned } from "../../core/jose/token-digest.ts"
import type { SignGuarded } from "../../ports/intent-signer.ts"
import type { IssuanceLog } from "../../ports/issuance-log.ts"

/** The plain way to keep the order: the log in one place, the signer in another, such as a device. */
export function commitThenSign(log: IssuanceLog): SignGuarded {
  return async ({ intent, decision, reuseSince, guards, signer, form }) => {
    const result = await log.recordIntent(intent, decision, reuseSince, guards)
    if (result.kind === "already-issued") return result
    const signature = await signer.sign(intent.tbs, form)
    log.recordOutcome(intent.serial, intent.kind === "x509" ? signature : digestSigned(intent.tbs, signature))
    return { kind: "signed", signature }
  }
}
