import { createHash } from "node:crypto"
import { toIdentityError } from "../../core/errors.ts"
import { provenKeyMessage } from "../../core/x509/csr.ts"
import type {
  IdentityAuthority,
  JwtIssued,
  JwtOrder,
  Outcome,
  X509Issued,
  X509Order,
} from "../../ports/identity-authority.ts"
import type { IssueJwt, IssueX509 } from "../issue/requests.ts"
import { LocalSubscription, type LocalSubscriptionDeps } from "./local-subscription.ts"

export interface LocalAuthorityDeps extends LocalSubscriptionDeps {
  readonly issueX509: IssueX509
  readonly issueJwt: IssueJwt
  readonly newRequestId: () => string
}

/**
 * This server as an {@link IdentityAuthority} for one caller, without a wire between: what an agent does for its workload,
 * the server does for a proxy that subscribes to it directly. The same pipeline, the same proof of possession.
 */
export function makeLocalAuthority(deps: LocalAuthorityDeps, token: string): IdentityAuthority {
  const evidenceDigest = createHash("sha256").update(token).digest()
  const x509 = async ({ spiffeId, key, renews }: X509Order, signal: AbortSignal): Promise<X509Issued> => {
    const { publicKey } = key
    const proof = await key.sign(provenKeyMessage(evidenceDigest, publicKey), "der")
    const evidence = { kind: "proven-key", publicKey, proof } as const
    const common = { token, spiffeId, ttl: undefined, requestId: deps.newRequestId() }
    return deps.issueX509({ ...common, key: evidence, renews, keptHere: true }, signal)
  }
  const jwt = ({ spiffeId, audience }: JwtOrder, signal: AbortSignal): Promise<JwtIssued> =>
    deps.issueJwt({ token, spiffeId, ttl: undefined, requestId: deps.newRequestId(), audience }, signal)
  return {
    issueX509: (orders, signal) => Promise.all(orders.map((order) => outcomeOf(x509(order, signal)))),
    issueJwt: (orders, signal) => Promise.all(orders.map((order) => outcomeOf(jwt(order, signal)))),
    subscribe: (signal) => new LocalSubscription(deps, token, signal),
  }
}

async function outcomeOf<T>(issuing: Promise<T>): Promise<Outcome<T>> {
  try {
    return { kind: "issued", value: await issuing }
  } catch (thrown) {
    return { kind: "failed", error: toIdentityError(thrown) }
  }
}
