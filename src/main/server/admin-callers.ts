import { type AuthenticateOperator, makeAuthenticateOperator } from "../../app/admin/authenticate-operator.ts"
import type { ProveAccessToken } from "../../app/attest/prove-access-token.ts"
import { makeProveExternalToken } from "../../app/attest/prove-external-token.ts"
import { makeProveX509Svid } from "../../app/attest/prove-x509-svid.ts"
import type { Clock } from "../../ports/clock.ts"
import type { LiveConfig } from "./live-config.ts"
import type { Pipeline } from "./pipeline.ts"

export interface AdminCallersDeps {
  readonly pipeline: Pick<Pipeline, "trust" | "denyToken">
  readonly live: () => LiveConfig
  readonly clock: Clock
  /** Of the token endpoint; `undefined` when there is none, and so no access token of ours. */
  readonly proveAccessToken: ProveAccessToken | undefined
}

/** Who may be known at the remote door, by the configuration in force. */
export function openAdminCallers({ pipeline, live, clock, proveAccessToken }: AdminCallersDeps): AuthenticateOperator {
  const { trust } = pipeline
  const { trustDomain } = trust.record()
  return makeAuthenticateOperator({
    proveX509Svid: makeProveX509Svid({
      bundles: () => [trust.snapshot().own, ...trust.snapshot().federated],
      clock,
      deny: pipeline.denyToken,
    }),
    deny: pipeline.denyToken,
    proveExternalToken: makeProveExternalToken({ trustDomain, clock, searchLists: true }),
    issuers: () => live().adminIssuers,
    accessTokens: () => {
      const { oauth, admin } = live().config
      if (proveAccessToken === undefined || oauth === undefined) return undefined
      const audience = admin.audience
      return audience === undefined ? undefined : { prove: proveAccessToken, audience }
    },
  })
}
