import { jwksMaxAge } from "../../core/oauth/oidc-jwks.ts"
import { HttpsServer } from "../../transports/http/https-server.ts"
import { listenHttp } from "../../transports/http/listen.ts"
import { addDiscoveryRoutes } from "../../transports/oidc/discovery-routes.ts"
import { addOAuthRoutes } from "../../transports/oidc/oauth-routes.ts"
import { makeRequestIds } from "./pipeline.ts"
import type { KeptTls } from "./serving-certificate.ts"
import { openTokenEndpoint, type TokenEndpointDeps } from "./token-endpoint.ts"

export interface TokenListenerDeps extends Omit<TokenEndpointDeps, "issuer"> {
  readonly serving: KeptTls
}

/** The HTTPS door. */
export interface TokenListener extends AsyncDisposable {
  readonly port: number
  /** Follow what other replicas revoke, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** Serve the token endpoint; `undefined` when it is not configured. @throws IdentityError when it cannot bind */
export async function openTokens(deps: TokenListenerDeps): Promise<TokenListener | undefined> {
  const { config } = deps.live()
  if (config.oauth === undefined) return undefined
  const { issuer } = config.oauth
  const endpoint = await openTokenEndpoint({ ...deps, issuer })
  const https = new HttpsServer(deps.serving.certificate(), {
    headerBytes: config.limits.headerSize,
    connections: MAX_CONNECTIONS,
  })
  deps.serving.follow(https)
  const onBug = (err: unknown, requestId: string) => deps.log.error({ err, requestId }, "a request failed by a bug")
  const listener = await listenHttp(
    {
      ...config.listen.https,
      https,
      newRequestId: makeRequestIds(deps.random),
      onBug,
      drain: config.drain.timeout * 1000,
    },
    (app) => {
      addOAuthRoutes(app, { ...endpoint, issuer, onBug })
      addDiscoveryRoutes(app, {
        issuer,
        authorities: () => deps.pipeline.trust.snapshot().own.jwtAuthorities,
        keysMaxAge: () => jwksMaxAge(config.jwt.publishAhead, deps.pipeline.jwtKeys.rotating()),
      })
    },
  )
  return {
    port: listener.port,
    run: (signal) => endpoint.revocations.run(signal),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  }
}

const MAX_CONNECTIONS = 10_000
