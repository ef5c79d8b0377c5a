import { isUtf8 } from "node:buffer"
import { once } from "node:events"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { STATUS_CODES } from "./node-http.ts"
import { PROBLEM_TYPE, retryAfterOf, toProblem } from "./problem.ts"

/** Where a listener is: an address, or the path of a unix socket. */
export type HttpAddress = { readonly host: string; readonly port: number } | { readonly path: string }

export interface HttpListenOptions {
  readonly at: HttpAddress
  /** With its TLS, timeouts and bounds; nothing listens on it yet. */
  readonly server: Server
  readonly newRequestId: () => string
  /** Told of bugs, which callers see as `internal`. */
  readonly onBug: (error: IdentityError, requestId: string) => void
  /** How long requests that are under way may take to end, milliseconds. */
  readonly drain: number
}

export interface HttpListener extends AsyncDisposable {
  /** 0 on a unix socket. */
  readonly port: number
}

/**
 * Adds routes to the listener. Bodies are read as text, and only of `application/x-www-form-urlencoded`; a plugin can read
 * others with {@link readJsonText}.
 */
export type HttpRoutes = (app: FastifyInstance) => void

/**
 * Serve `routes` over HTTP. The framework is loaded for the first request: it costs some 20 MiB, and many a listener is never
 * asked. Where that fails, as without memory or file handles, the next request tries again. @throws IdentityError `not-ready` when it cannot bind
 */
export async function listenHttp(options: HttpListenOptions, routes: HttpRoutes): Promise<HttpListener> {
  const { server, at, drain } = options
  let loaded: Promise<LoadedApp> | undefined
  let answerer: LoadedApp["answer"] | undefined
  const loadOrForget = async (): Promise<LoadedApp> => {
    try {
      return await loadApp(options, routes)
    } catch (thrown) {
      loaded = undefined
      server.removeAllListeners("clientError") // those of the framework; nobody else has any
      throw thrown
    }
  }
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (answerer !== undefined) return answerer(request, response)
    loaded ??= loadOrForget()
    loaded.then(
      ({ answer }) => {
        answerer = answer
        // Who left meanwhile would never be seen to leave.
        if (!response.closed) answer(request, response)
      },
      (thrown: unknown) => {
        options.onBug(toIdentityError(thrown), "")
        request.destroy()
      },
    )
  })
  await bind(server, at)
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: () => close(server, () => loaded, drain),
  }
}

interface LoadedApp {
  readonly app: FastifyInstance
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void
}

async function loadApp(options: HttpListenOptions, routes: HttpRoutes): Promise<LoadedApp> {
  const { default: Fastify } = await import("fastify")
  let answer: LoadedApp["answer"] | undefined
  const app = Fastify({
    serverFactory: (handler) => {
      answer = handler
      return options.server
    },
    bodyLimit: MAX_BODY,
    genReqId: options.newRequestId,
    requestIdHeader: false,
    logger: false,
    routerOptions: { maxParamLength: 256 },
    schemaController: { compilersFactory: NO_SCHEMAS },
    return503OnClosing: true,
    // What the router refuses would be answered in the framework's own words, with the path in them.
    frameworkErrors: (thrown, request, reply) => void sendProblem(thrown, request, reply, options),
  })
  readText(app, FORM)
  app.setErrorHandler((thrown, request, reply) => sendProblem(thrown, request, reply, options))
  app.setNotFoundHandler((request, reply) => sendNotFound(app, request, reply, options))
  routes(app)
  await app.ready()
  if (answer === undefined) throw new TypeError("a framework that answers nothing")
  return { app, answer }
}

async function bind(server: Server, at: HttpAddress): Promise<void> {
  try {
    // Rejects with what the server emits as an error.
    const listening = once(server, "listening")
    server.listen({ ...at })
    await listening
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : "unknown"
    const where = "path" in at ? at.path : `${at.host}:${at.port}`
    throw new IdentityError("not-ready", `cannot listen on ${where}: ${detail}`, { cause, reason: "address-unusable" })
  }
}

function sendNotFound(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  options: HttpListenOptions,
): FastifyReply {
  const { method, url } = request
  const known = ALL_METHODS.filter((one) => app.hasRoute({ method: one, url: url.split("?")[0] ?? url }))
  if (known.length === 0) {
    return sendProblem(new IdentityError("not-found", "there is nothing here"), request, reply, options)
  }
  const error = new IdentityError("unsupported", `${method} is not offered here`, { reason: "method-not-allowed" })
  const problem = { ...toProblem(error, request.id), title: STATUS_CODES[405], status: 405 }
  return reply
    .code(405)
    .header("allow", known.join(", "))
    .header("cache-control", "no-store")
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(problem))
}

/** Within the plugin of `app`, bodies are JSON and nothing else: as text, so that the reader can be a strict one. */
export function readJsonText(app: FastifyInstance): void {
  readText(app, JSON_TYPE)
}

/** Read bodies of this type alone. What is no UTF-8 is refused: else different octets would be read as one text. */
function readText(app: FastifyInstance, type: string): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(type, { parseAs: "buffer", bodyLimit: MAX_BODY }, (_request, body: Buffer, done) => {
    if (isUtf8(body)) done(null, body.toString())
    else done(new IdentityError("malformed", "the body is not UTF-8", { reason: "request-malformed" }))
  })
}

/** Fastify's own refusals (a body that is too long, another content type) keep their status. */
function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply, options: HttpListenOptions) {
  const refused = fastifyRefusal(thrown)
  const error = refused ?? toIdentityError(thrown)
  if (error.code === "internal") options.onBug(error, request.id)
  const problem = { ...toProblem(error, request.id), ...(refused && { status: statusOf(thrown) }) }
  const retry = retryAfterOf(error)
  if (retry !== undefined) reply.header("retry-after", String(retry))
  return reply.code(problem.status).header("cache-control", "no-store").type(PROBLEM_TYPE).send(JSON.stringify(problem))
}

/** What the framework itself refused, as an error of ours; `undefined` for everything else. */
export function fastifyRefusal(thrown: unknown): IdentityError | undefined {
  const status = statusOf(thrown)
  if (!(thrown instanceof Error) || status < 400 || status > 499) return undefined
  const reason = status === 413 ? "body-too-long" : status === 415 ? "content-type-unsupported" : "request-malformed"
  return new IdentityError("malformed", BODY_MESSAGES[reason], { reason, cause: thrown })
}

function statusOf(thrown: unknown): number {
  if (!(thrown instanceof Error) || !("statusCode" in thrown)) return 500
  return typeof thrown.statusCode === "number" ? thrown.statusCode : 500
}

/** Requests under way may end; after `drain` their connections are cut. */
async function close(server: Server, loaded: () => Promise<LoadedApp> | undefined, drain: number): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), drain)
  try {
    // Idle connections end with it.
    const closed = once(server, "close")
    server.close()
    const ready = await loaded()?.catch(() => undefined)
    await ready?.app.close()
    await closed
  } finally {
    clearTimeout(cut)
  }
}

function noSchema(): never {
  throw new TypeError("a route has a schema of the framework")
}

/** Input is read by our own parsers alone. The framework's compilers of schemas are half of what it costs, so they are not loaded. */
const NO_SCHEMAS = { buildValidator: noSchema, buildSerializer: noSchema }
const FORM = "application/x-www-form-urlencoded"
const JSON_TYPE = "application/json"
const ALL_METHODS = ["GET", "HEAD", "POST", "DELETE"] as const
/** Room for a subject token, an actor token and a client assertion of 16 KiB each. */
const MAX_BODY = 64 * 1024
const BODY_MESSAGES = {
  "body-too-long": "the body is longer than 64 KiB",
  "content-type-unsupported": "the body is not of the content type that is read here",
  "request-malformed": "the request is not well formed",
} as const
