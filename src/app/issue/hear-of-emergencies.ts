import { isAuthorityReplaced } from "../../core/authority/authority-replaced.ts"
import type { SignGuarded } from "../../ports/intent-signer.ts"
import type { TrustState } from "../authority/trust-state.ts"
import { beingReplaced } from "../authority/when-replaced.ts"

/**
 * `sign`, by which this process knows of an emergency once an order was refused because of it: the refusal comes after it is known.
 * @throws what `sign` throws, and what a store that cannot be read does @see ROT-76
 */
export function hearOfEmergencies(sign: SignGuarded, trust: Pick<TrustState, "hear">): SignGuarded {
  return async (order) => {
    try {
      return await sign(order)
    } catch (thrown) {
      const { kind, epoch } = order.intent
      if (isAuthorityReplaced(thrown)) await trust.hear(({ emergencyEpochs }) => (emergencyEpochs?.[kind] ?? 0) > epoch)
      throw thrown
    }
  }
}

/**
 * What `issue` comes to, which chooses what signs and has it sign: once more when that was replaced in an emergency in between, so that it chooses
 * anew. @throws IdentityError `not-ready`, reason `being-replaced`, when there is another emergency meanwhile @see ROT-76
 */
export async function issueAcrossEmergency<Issued>(issue: () => Promise<Issued>): Promise<Issued> {
  try {
    return await issue()
  } catch (thrown) {
    if (!isAuthorityReplaced(thrown)) throw thrown
  }
  return issue().catch((thrown: unknown) => {
    throw isAuthorityReplaced(thrown) ? beingReplaced("what is to sign is being replaced") : thrown
  })
}
