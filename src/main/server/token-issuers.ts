import type { RegisteredClient } from "../../app/attest/prove-client-assertion.ts"
import type { ExternalIssuer } from "../../app/attest/prove-external-token.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { type ClusterDeps, openKeys } from "./clusters.ts"

/** Whoever signs tokens for the token endpoint, apart from the clusters. */
export interface TokenIssuers {
  /** By `client_id`. */
  readonly clients: ReadonlyMap<string, RegisteredClient>
  readonly external: readonly ExternalIssuer[]
}

/** Those that are configured, ready to verify by; nothing is asked of them yet. */
export async function openTokenIssuers(oauth: ServerConfig["oauth"], deps: ClusterDeps): Promise<TokenIssuers> {
  if (oauth === undefined) return { clients: new Map(), external: [] }
  const clients = await Promise.all(
    oauth.clients.map(async ({ clientId, spiffeId, keys }): Promise<RegisteredClient> => {
      return { clientId, spiffeId, keys: await keysNamed(clientId, keys, deps) }
    }),
  )
  const external = await openOutsideIssuers(oauth.externalIssuers, deps)
  return { clients: new Map(clients.map((client) => [client.clientId, client])), external }
}

/** Issuers of whatever use; nothing is asked of them yet. */
export function openOutsideIssuers(
  configs: ServerConfig["admin"]["issuers"],
  deps: ClusterDeps,
): Promise<readonly ExternalIssuer[]> {
  return Promise.all(
    configs.map(async ({ name, issuer, audiences, keys, requiredClaims, spiffeId }) => {
      const required = new Map(requiredClaims.map(({ claim, value }) => [claim, value]))
      return { name, issuer, audiences, keys: await keysNamed(name, keys, deps), requiredClaims: required, spiffeId }
    }),
  )
}

function keysNamed(name: string, source: Parameters<typeof openKeys>[0], deps: ClusterDeps) {
  return openKeys(source, deps, (err) => {
    deps.log.warn({ name, err }, "the keys of a client or an issuer cannot be read")
  })
}
