import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { IdentityError } from "../../core/errors.ts"
import {
  type IssuerAddresses,
  protectedResourceMetadata,
  serverMetadata,
  wellKnownPaths,
} from "../../core/oauth/metadata.ts"
import { encodeOidcKeys, entityTag } from "../../core/oauth/oidc-jwks.ts"
import type { JwtAuthority } from "../../core/spiffe/bundle.ts"
import type { Seconds } from "../../core/time.ts"

export interface DiscoveryRoutesDeps extends IssuerAddresses {
  /** Of the own trust domain. The same array as long as nothing changed. */
  readonly authorities: () => readonly JwtAuthority[]
  readonly keysMaxAge: () => Seconds
}

/**
 * Metadata and keys for relying parties, to anybody, for any origin. The issuer's path is part of their paths; beside that they
 * are served without it, for a proxy that takes it away. @see DISC-01 DISC-02 DISC-12 JWKS-11
 */
export function addDiscoveryRoutes(app: FastifyInstance, deps: DiscoveryRoutesDeps): void {
  const { issuer } = deps
  const paths = wellKnownPaths(issuer)
  const metadata = makeDocument(JSON.stringify(serverMetadata(deps)))
  const resource = makeDocument(JSON.stringify(protectedResourceMetadata(issuer)))
  const serve = (routes: readonly string[], document: () => Document, maxAge: () => Seconds) => {
    for (const url of new Set(routes)) {
      app.get(url, async (request, reply) => send(request, reply, document(), maxAge()))
    }
  }
  const bare = wellKnownPaths(new URL(issuer).origin)
  serve([paths.openid, bare.openid], () => metadata, metadataMaxAge)
  serve([...paths.oauth, ...bare.oauth], () => metadata, metadataMaxAge)
  serve([...paths.protectedResource, ...bare.protectedResource], () => resource, metadataMaxAge)
  serve([paths.keys, bare.keys], makeKeysDocument(deps), deps.keysMaxAge)
  for (const base of endpointBases(deps)) app.get(`${base}/authorize`, refuseLogin)
}

/** What OIDC demands an endpoint for, and is not offered. @see DISC-07 */
function refuseLogin(): never {
  throw new IdentityError("malformed", "nobody logs in here: unsupported_response_type", {
    reason: "unsupported-response-type",
  })
}

/** The paths below which endpoints are served: each with what clients know it by, and without, for a proxy that takes it away. */
export function endpointBases({ issuer, endpoints }: IssuerAddresses): ReadonlySet<string> {
  return new Set(["", pathOf(issuer), pathOf(endpoints)])
}

/** Without a final slash. */
function pathOf(url: string): string {
  return new URL(url).pathname.replace(/\/$/, "")
}

interface Document {
  readonly body: string
  readonly etag: string
}

function makeDocument(body: string): Document {
  return { body, etag: entityTag(body) }
}

/** Encoded once for each state of the keys. */
function makeKeysDocument({ authorities }: DiscoveryRoutesDeps): () => Document {
  let encoded: readonly JwtAuthority[] | undefined
  let document = makeDocument("")
  return () => {
    const current = authorities()
    if (current !== encoded) {
      document = makeDocument(encodeOidcKeys(current))
      encoded = current
    }
    return document
  }
}

function send(request: FastifyRequest, reply: FastifyReply, { body, etag }: Document, maxAge: Seconds) {
  reply
    .header("cache-control", `public, max-age=${maxAge}`)
    .header("access-control-allow-origin", "*")
    .header("etag", etag)
  if (matches(request.headers["if-none-match"], etag)) return reply.code(304).send()
  return reply.type("application/json").send(body)
}

/** Weak comparison, as RFC 9110 section 13.1.2 asks. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag)
}

function metadataMaxAge(): Seconds {
  return METADATA_MAX_AGE
}

const METADATA_MAX_AGE: Seconds = 300
