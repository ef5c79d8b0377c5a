import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { isLoginRefusal, type RecordRefusals } from "../../app/audit/record-refusals.ts"
import type { AdminCaller } from "../../core/admin/caller.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { type JsonObject, parseJsonObject } from "../../core/json.ts"
import { readJsonText } from "../http/listen.ts"
import { proposalReply } from "./approval-contracts.ts"
import type { Contract } from "./contract.ts"
import { openApiDocument } from "./openapi.ts"
import type { Operation } from "./operation.ts"
import type { AdminEvents, Perform } from "./perform.ts"

export interface AdminRoutesDeps {
  readonly operations: readonly Operation[]
  readonly perform: Perform
  /** Who asks. @param proven told what is proven of a sender who is refused @throws IdentityError `unauthenticated` */
  readonly authenticate: (
    request: FastifyRequest,
    proven: (who: string) => void,
    signal: AbortSignal,
  ) => Promise<AdminCaller>
  /** `WWW-Authenticate` of what is refused for want of a caller. */
  readonly challenge?: string
  /** Requests under way at once. @see ADM-19 */
  readonly maxRequests: number
  readonly events: Pick<AdminEvents, "unauthenticated">
  readonly refusals: Pick<RecordRefusals, "login">
}

/**
 * Every operation under `/admin/v1`. The caller is known before a body is read. A request must have `assay-admin: 1` and no
 * `Origin`: no page and no server that was tricked into asking can send the one without the other.
 * @see ADM-01 ADM-02 ADM-03
 */
export function addAdminRoutes(app: FastifyInstance, deps: AdminRoutesDeps): void {
  void app.register(async (admin) => {
    readJsonText(admin)
    const callers = new WeakMap<FastifyRequest, AdminCaller>()
    let underWay = 0
    admin.addHook("onRequest", async (request, reply) => {
      if (underWay >= deps.maxRequests) throw tooMany()
      underWay += 1
      reply.raw.once("close", () => {
        underWay -= 1
      })
      callers.set(request, await authenticate(request, reply, deps))
    })
    let document: string | undefined
    admin.route({
      method: "GET",
      url: `${ADMIN_BASE}/openapi.json`,
      handler: (_request, reply) => {
        document ??= JSON.stringify(openApiDocument(deps.operations.map(({ contract }) => contract)))
        return reply.type("application/json").send(document)
      },
      exposeHeadRoute: false,
    })
    for (const operation of deps.operations) {
      const { method } = operation.contract
      const url = urlOf(operation.contract)
      const handler = async (request: FastifyRequest, reply: FastifyReply) => {
        const caller = callers.get(request)
        if (caller === undefined) throw new TypeError("a request without caller")
        const call = { caller, requestId: request.id, input: inputOf(request) }
        const performed = await deps.perform(operation, call, signalOf(reply))
        const done = performed.kind === "done"
        const body = done ? performed.reply : { proposal: proposalReply(performed.proposal) }
        reply
          .code(done ? 200 : 202)
          .header("cache-control", "no-store")
          .type("application/json")
        return reply.send(JSON.stringify(body))
      }
      // HEAD would be a second way to GET, without the reply.
      admin.route({ method, url, handler, exposeHeadRoute: false })
    }
  })
}

/** Whoever is refused hears of it before that is recorded: it costs him, and the store, no more for it. @see ADM-26 ADM-27 */
async function authenticate(request: FastifyRequest, reply: FastifyReply, deps: AdminRoutesDeps): Promise<AdminCaller> {
  let actor = "unknown"
  try {
    refuseForged(request)
    return await deps.authenticate(request, (who) => (actor = who.slice(0, MAX_ACTOR)), signalOf(reply))
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (deps.challenge !== undefined && error.code === "unauthenticated") {
      reply.header("www-authenticate", deps.challenge)
    }
    deps.events.unauthenticated(request.id, error)
    if (isLoginRefusal(error)) {
      const { code, reason = code } = error
      const [operation, source] = [operationOf(request, deps), sourceOf(request)]
      deps.refusals.login({ type: "login.refused", actor, requestId: request.id, operation, source, code, reason })
    }
    throw error
  }
}

/** By the route; empty for the document. */
function operationOf({ method, routeOptions }: FastifyRequest, { operations }: AdminRoutesDeps): string {
  const asked = operations.find(({ contract }) => contract.method === method && urlOf(contract) === routeOptions.url)
  return asked?.contract.name ?? ""
}

function urlOf({ path }: Contract): string {
  return `${ADMIN_BASE}${path.replace(/\{(\w+)\}/g, ":$1")}`
}

function sourceOf({ raw }: FastifyRequest): string {
  return raw.socket.remoteAddress?.replace(/^::ffff:/, "") ?? "socket"
}

function tooMany(): IdentityError {
  return new IdentityError("rate-limited", "too many requests are under way here", {
    reason: "requests-under-way",
    retryAfter: 1,
  })
}

/** @see VL-09 */
function refuseForged({ headers }: FastifyRequest): void {
  if (headers[ADMIN_HEADER] === "1" && headers.origin === undefined) return
  throw new IdentityError("unauthenticated", `send ${ADMIN_HEADER}: 1, and no Origin`, {
    reason: "admin-header-missing",
    next: "use the assay command line, or set the header",
  })
}

/** Members of path, query and body as one object; none may come twice. @throws IdentityError `malformed` */
function inputOf({ method, query, params, body }: FastifyRequest): JsonObject | object {
  const sent = method === "GET" ? { ...asObject(query) } : bodyOf(body)
  if (method !== "GET" && Object.keys(asObject(query)).length > 0) throw malformed("a query has no meaning here")
  const fixed = asObject(params)
  const twice = Object.keys(fixed).find((name) => Object.hasOwn(sent, name))
  if (twice !== undefined) throw malformed(`"${twice}" stands in the path already`)
  return { ...sent, ...fixed }
}

function bodyOf(body: unknown): JsonObject {
  return typeof body === "string" && body !== "" ? parseJsonObject(body) : {}
}

function asObject(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {}
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message, { reason: "request-invalid" })
}

/** Aborts when the client goes away before its answer. */
function signalOf(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}

/** A SPIFFE ID, with how it was proven, is no longer. */
const MAX_ACTOR = 2100
export const ADMIN_BASE = "/admin/v1"
/** @see ADM-03 */
export const ADMIN_HEADER = "assay-admin"
