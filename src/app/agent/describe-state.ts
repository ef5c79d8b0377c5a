import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import { type IdentityState, STARTING } from "../deliver/identity-source.ts"
import { isDenial } from "./denial.ts"
import type { Holdings } from "./holdings.ts"
import type { RetryBook } from "./retry-book.ts"

/** What went wrong outside of single orders. */
export interface Troubles {
  /** Why the subscription is down; `undefined` while it is up. */
  readonly subscription: IdentityError | undefined
  /** When the last SVID ran out, if that is why there is none. */
  readonly expiredAt: Instant | undefined
}

/** The state that readers are to see, from what is held and what went wrong. @see AGT-09 AGT-11 */
export function describeState(holdings: Holdings, retries: RetryBook, troubles: Troubles, now: Instant): IdentityState {
  const view = holdings.view(now)
  if (view !== undefined) return { kind: "ready", view }
  const error =
    holdings.entitlements?.length === 0 ? (troubles.subscription ?? NONE) : mainTrouble(holdings, retries, troubles)
  if (isDenial(error)) return { kind: "denied", error }
  return { kind: "waiting", error: troubles.expiredAt === undefined ? error : expired(troubles.expiredAt, error) }
}

function mainTrouble(holdings: Holdings, retries: RetryBook, troubles: Troubles): IdentityError {
  const ofOrders = (holdings.entitlements ?? []).flatMap(({ spiffeId }) => retries.errorOf(spiffeId) ?? [])
  return ofOrders[0] ?? troubles.subscription ?? NOT_YET
}

function expired(at: Instant, cause: IdentityError): IdentityError {
  const when = new Date(at * 1000).toISOString()
  return new IdentityError("not-ready", `the last SVID expired at ${when} and could not be renewed: ${cause.message}`, {
    cause,
  })
}

const NONE = new IdentityError("no-identity", "no identity is issued to this workload")
const NOT_YET = new IdentityError("not-ready", "no identity has arrived from the server yet", { reason: STARTING })
