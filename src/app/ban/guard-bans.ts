import { IdentityError } from "../../core/errors.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignGuarded, SignIntent, SigningOrder } from "../../ports/intent-signer.ts"
import type { IssueEvents } from "../issue/events.ts"
import type { BanView } from "./ban-view.ts"
import { bannedError } from "./banned.ts"

export interface GuardBansDeps {
  readonly sign: SignGuarded
  readonly bans: Pick<BanView, "match" | "head" | "catchUp">
  readonly audit: AuditLog
  readonly clock: Pick<Clock, "now">
  readonly events: Pick<IssueEvents, "refused">
}

/**
 * Sign for nobody who is banned when the intent is committed. The commit says how far the bans were looked at; when they have gone
 * on since, nothing was recorded, and they are looked at again. So once a ban is durable, no replica issues, whatever it has read.
 * @throws IdentityError `policy-denied`, reason `banned` @see BAN-05 BAN-06 INV-30
 */
export function guardBans({ sign, bans, audit, clock, events }: GuardBansDeps): SignIntent {
  const refuse = async (order: SigningOrder, error: IdentityError): Promise<never> => {
    const { decision, intent } = order
    // What comes from the token endpoint is counted and audited there.
    if (decision.type !== "svid.granted") throw error
    const { actor, requestId } = decision
    events.refused(intent.kind, requestId, error)
    const named = { kind: intent.kind, code: error.code, reason: error.reason ?? error.code }
    await audit.append({ type: "svid.refused", at: clock.now(), actor, requestId, ...named })
    throw error
  }
  return async (order) => {
    for (let tries = 1; ; tries++) {
      const ban = bans.match(order.subject)
      if (ban !== undefined) await refuse(order, bannedError(ban))
      try {
        return await sign({ ...order, guards: { bansSeen: bans.head, renewal: order.renewal } })
      } catch (thrown) {
        if (!isOvertaken(thrown) || tries === MAX_TRIES) throw thrown
        await bans.catchUp()
      }
    }
  }
}

function isOvertaken(thrown: unknown): boolean {
  return thrown instanceof IdentityError && thrown.code === "conflict" && thrown.reason === "bans-changed"
}

/** Bans come by hand; whoever is overtaken so often may ask again. */
const MAX_TRIES = 8
