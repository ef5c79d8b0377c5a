import type { Confirmation } from "../../core/jose/access-token.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"

/** A token that was verified, for us, and is in date: whom it is about, and what it says of its use. */
export interface ProvenToken {
  readonly principal: Principal
  /** What it is good for; `undefined` when it says nothing about scope. @see TX-11 */
  readonly scopes: readonly string[] | undefined
  /** Who acts in it already, newest first. @see TX-05 */
  readonly actors: readonly SpiffeId[]
  /** Who may act for its subject; `undefined`: it does not say. @see TX-06 TX-12 */
  readonly mayAct: MayAct | undefined
  /** The key that it is bound to. @see TX-15 */
  readonly confirmation: Confirmation | undefined
  /** Names it when it may be used once only, and says before when it was not good. */
  readonly singleUse: { readonly id: string; readonly from: Instant } | undefined
  /** By itself it proves who sends it: it was made for us alone. @see TX-10 */
  readonly forUsAlone: boolean
}

export interface MayAct {
  readonly sub: string
  readonly iss: string | undefined
}

/** A token that says nothing but who it is about. */
export function plainToken(principal: Principal): ProvenToken {
  return {
    principal,
    scopes: undefined,
    actors: [],
    mayAct: undefined,
    confirmation: undefined,
    singleUse: undefined,
    forUsAlone: true,
  }
}
