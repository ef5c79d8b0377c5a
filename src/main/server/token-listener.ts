import type { ProveAccessToken } from "../../app/attest/prove-access-token.ts"
import { jwksMaxAge } from "../../core/oauth/oidc-jwks.ts"
import { publishedDocuments } from "../../core/oauth/publication.ts"
import { HttpsServer } from "../../transports/http/https-server.ts"
import { listenHttp } from "../../transports/http/listen.ts"
import { addDiscoveryRoutes } from "../../transports/oidc/discovery-routes.ts"
import { addOAuthRoutes } from "../../transports/oidc/oauth-routes.ts"
import { makeRequestIds } from "./pipeline.ts"
import { openPublication } from "./publication.ts"
import type { KeptTls } from "./serving-certificate.ts"
import { openTokenEndpoint, type TokenEndpointDeps } from "./token-endpoint.ts"

export interface TokenListenerDeps extends Omit<TokenEndpointDeps, "addresses"> {
  readonly serving: KeptTls
}

/** The HTTPS door. */
export interface TokenListener extends AsyncDisposable {
  readonly port: number
  readonly proveAccessToken: ProveAccessToken
  /** Follow what other replicas revoke, and publish discovery and keys, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** Serve the token endpoint; `undefined` when it is not configured. @throws IdentityError when it cannot bind */
export async function openTokens(deps: TokenListenerDeps): Promise<TokenListener | undefined> {
  const { config } = deps.live()
  if (config.oauth === undefined) return undefined
  const { issuer, endpoints = issuer } = config.oauth
  const addresses = { issuer, endpoints }
  const endpoint = await openTokenEndpoint({ ...deps, addresses })
  const { trust } = deps.pipeline
  const authorities = () => trust.snapshot().own.jwtAuthorities
  const publish = await openPublication(config.oauth.publish, {
    issuer,
    documents: () => publishedDocuments(addresses, authorities()),
    changed: (signal: AbortSignal) => trust.changed(signal),
    clock: deps.clock,
    events: deps.events.publication,
  })
  const https = new HttpsServer(deps.serving.certificate(), {
    headerBytes: config.limits.headerSize,
    connections: MAX_CONNECTIONS,
  })
  deps.serving.follow(https)
  const onBug = (err: unknown, requestId: string) => deps.log.error({ err, requestId }, "a request failed by a bug")
  const listener = await listenHttp(
    {
      at: config.listen.https,
      server: https.server,
      newRequestId: makeRequestIds(deps.random),
      onBug,
      drain: config.drain.timeout * 1000,
    },
    (app) => {
      addOAuthRoutes(app, { ...endpoint, ...addresses, onBug })
      addDiscoveryRoutes(app, {
        ...addresses,
        authorities,
        keysMaxAge: () => jwksMaxAge(config.jwt.publishAhead, deps.pipeline.jwtKeys.rotating()),
      })
    },
  )
  return {
    port: listener.port,
    proveAccessToken: endpoint.proveAccessToken,
    run: async (signal) => {
      await Promise.all([endpoint.revocations.run(signal), publish(signal)])
    },
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  }
}

const MAX_CONNECTIONS = 10_000
