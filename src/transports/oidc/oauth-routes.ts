import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import type { AnswerTokenRequest, OAuthCall } from "../../app/exchange/answer-token-request.ts"
import type { Introspect } from "../../app/exchange/introspect.ts"
import type { Revoke } from "../../app/exchange/revoke.ts"
import { type IdentityError, toIdentityError } from "../../core/errors.ts"
import { parseForm } from "../../core/oauth/form.ts"
import type { IssuerAddresses } from "../../core/oauth/metadata.ts"
import { errorDescription, oauthErrorOf } from "../../core/oauth/oauth-error.ts"
import { REPEATABLE } from "../../core/oauth/token-request.ts"
import { clientChain } from "../http/client-chain.ts"
import { fastifyRefusal } from "../http/listen.ts"
import { retryAfterOf } from "../http/problem.ts"
import { endpointBases } from "./discovery-routes.ts"

export interface OAuthRoutesDeps extends IssuerAddresses {
  readonly answerToken: AnswerTokenRequest
  readonly introspect: Introspect
  readonly revoke: Revoke
  /** The nonce for `DPoP-Nonce`; `undefined` when nonces are off. */
  readonly dpopNonce: () => string | undefined
  readonly onBug: (error: IdentityError, requestId: string) => void
}

/** `POST /token`, `/introspect` and `/revoke`, with and without the paths that clients know them by. @see CC-01 CC-04 CC-05 INT-01 REV-01 */
export function addOAuthRoutes(app: FastifyInstance, deps: OAuthRoutesDeps): void {
  const errorHandler: ErrorHandler = (thrown, request, reply) => {
    sendError(thrown, request, reply, deps)
  }
  for (const base of endpointBases(deps)) addRoutes(app, base, errorHandler, deps)
}

function addRoutes(app: FastifyInstance, base: string, errorHandler: ErrorHandler, deps: OAuthRoutesDeps): void {
  app.post(`${base}/token`, { errorHandler }, async (request, reply) => {
    const answer = await deps.answerToken(callOf(request), signalOf(reply))
    return sendJson(request, reply, answer, deps)
  })
  app.post(`${base}/introspect`, { errorHandler }, async (request, reply) => {
    const form = request.headers.accept?.includes(INTROSPECTION_JWT) === true ? "jwt" : "json"
    const introspected = await deps.introspect(callOf(request), form, signalOf(reply))
    if (introspected.form === "json") return sendJson(request, reply, introspected.answer, deps)
    addNonce(request, reply, deps)
    return noStore(reply).type(INTROSPECTION_JWT).send(introspected.text)
  })
  app.post(`${base}/revoke`, { errorHandler }, async (request, reply) => {
    await deps.revoke(callOf(request), signalOf(reply))
    addNonce(request, reply, deps)
    return noStore(reply).code(200).send()
  })
}

type ErrorHandler = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => void

/** @throws IdentityError `malformed` */
function callOf(request: FastifyRequest): OAuthCall {
  const body = typeof request.body === "string" ? request.body : ""
  return {
    form: parseForm(body, REPEATABLE),
    authorization: request.headers.authorization,
    dpop: request.headers["dpop"] === undefined ? [] : (request.raw.headersDistinct["dpop"] ?? []),
    chain: clientChain(request.raw),
    requestId: request.id,
  }
}

/** Aborts when the client goes away before its answer. */
function signalOf(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}

function sendJson(request: FastifyRequest, reply: FastifyReply, body: object, deps: OAuthRoutesDeps) {
  addNonce(request, reply, deps)
  return noStore(reply).type("application/json").send(JSON.stringify(body))
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, deps: OAuthRoutesDeps): void {
  const failure = fastifyRefusal(thrown) ?? toIdentityError(thrown)
  if (failure.code === "internal") deps.onBug(failure, request.id)
  const { error, status } = oauthErrorOf(failure)
  const message = failure.code === "internal" ? "internal error; the server's log has the request id" : failure.message
  const retry = retryAfterOf(failure)
  if (retry !== undefined) reply.header("retry-after", String(retry))
  const { authorization } = request.headers
  if (status === 401 && authorization !== undefined) reply.header("www-authenticate", challengeFor(authorization))
  addNonce(request, reply, deps)
  const body = {
    error,
    error_description: errorDescription(message),
    reason: failure.reason ?? failure.code,
    request_id: request.id,
  }
  void noStore(reply).code(status).type("application/json").send(JSON.stringify(body))
}

/** RFC 6749 section 5.2 wants the scheme that the client tried, though none is of any use here. @see CC-05 */
function challengeFor(authorization: string): string {
  return `${SCHEME.exec(authorization)?.[0] ?? "Basic"} realm="token"`
}

/** Whoever uses DPoP gets the nonce for the next proof. @see DP-02 DP-08 */
function addNonce(request: FastifyRequest, reply: FastifyReply, { dpopNonce }: OAuthRoutesDeps): void {
  if (request.headers["dpop"] === undefined) return
  const nonce = dpopNonce()
  if (nonce !== undefined) reply.header("dpop-nonce", nonce)
}

function noStore(reply: FastifyReply): FastifyReply {
  return reply.header("cache-control", "no-store").header("pragma", "no-cache")
}

/** RFC 9110 section 11.1. */
const SCHEME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?= |$)/
/** @see INT-03 */
const INTROSPECTION_JWT = "application/token-introspection+jwt"
