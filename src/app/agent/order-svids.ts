import { IdentityError } from "../../core/errors.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Clock } from "../../ports/clock.ts"
import type { IdentityAuthority, Outcome, X509Issued } from "../../ports/identity-authority.ts"
import type { EphemeralKeys, KeyAlgorithm } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { Holding } from "./holdings.ts"
import type { OpenRenewals } from "./open-renewals.ts"
import { scheduleRenewal } from "./renewal-schedule.ts"

export interface OrderDeps {
  readonly authority: Pick<IdentityAuthority, "issueX509">
  readonly keys: Pick<EphemeralKeys, "makeWorkloadKey">
  readonly keyAlgorithm: KeyAlgorithm
  readonly clock: Clock
  readonly random: Random
}

export type Ordered =
  | { readonly kind: "issued"; readonly spiffeId: SpiffeId; readonly holding: Holding }
  | { readonly kind: "failed"; readonly spiffeId: SpiffeId; readonly error: IdentityError }

/**
 * Order an SVID for each of `ids` in one call, each for a key that was made for it. What comes back is not verified yet.
 * `renewals` says what they go on from, and keeps the keys of what failed for the next try. @throws IdentityError when the whole
 * call failed @see AGT-07 LIN-10
 */
export async function orderSvids(
  ids: readonly SpiffeId[],
  deps: OrderDeps,
  renewals: OpenRenewals,
  bundleEpoch: number,
  signal: AbortSignal,
): Promise<readonly Ordered[]> {
  const orders = await Promise.all(
    ids.map(async (spiffeId) => ({
      spiffeId,
      bundleEpoch,
      renews: renewals.quote(spiffeId, deps.clock.now()),
      key: renewals.takeKey(spiffeId) ?? (await deps.keys.makeWorkloadKey(deps.keyAlgorithm)),
    })),
  )
  let outcomes: readonly Outcome<X509Issued>[]
  try {
    outcomes = await deps.authority.issueX509(orders, signal)
  } catch (thrown) {
    for (const { spiffeId, key } of orders) renewals.unanswered(spiffeId, key)
    throw thrown
  }
  return orders.map(({ spiffeId, key }, i): Ordered => {
    const error = refusalOf(outcomes[i], spiffeId, deps.clock)
    const outcome = outcomes[i]
    if (outcome?.kind !== "issued" || outcome.value.spiffeId !== spiffeId) {
      renewals.unanswered(spiffeId, key)
      return { kind: "failed", spiffeId, error: error ?? NO_ANSWER }
    }
    renewals.received(spiffeId, outcome.value)
    if (error === undefined) {
      const schedule = scheduleRenewal(outcome.value.notAfter, deps.clock, deps.random)
      const life = outcome.value.notAfter - deps.clock.now()
      return { kind: "issued", spiffeId, holding: { issued: outcome.value, key, schedule, life } }
    }
    key.pkcs8[Symbol.dispose]()
    return { kind: "failed", spiffeId, error }
  })
}

function refusalOf(
  outcome: Outcome<X509Issued> | undefined,
  spiffeId: SpiffeId,
  clock: Clock,
): IdentityError | undefined {
  if (outcome === undefined) return NO_ANSWER
  if (outcome.kind === "failed") return outcome.error
  if (outcome.value.spiffeId !== spiffeId) return new IdentityError("not-ready", "the server issued another identity")
  if (outcome.value.notAfter > clock.now()) return undefined
  return new IdentityError("not-ready", "the SVID had expired on arrival: compare the clocks of agent and server")
}

const NO_ANSWER = new IdentityError("not-ready", "the server left an order unanswered")
