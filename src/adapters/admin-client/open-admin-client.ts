import type { ClientRequest, IncomingMessage } from "node:http"
import { request as httpsRequest } from "node:https"
import { IdentityError } from "../../core/errors.ts"
import { type Json, type JsonObject, parseJsonObject } from "../../core/json.ts"
import { checkAdminServer } from "./check-admin-server.ts"
import { refusalOf, waitingFor } from "./refusal.ts"
import { unreachable } from "./unreachable.ts"

/** Where the admin API is, and how the caller is known there. */
export type AdminServer =
  /** The kernel says who we are. */
  | { readonly kind: "socket"; readonly path: string }
  | {
      readonly kind: "https"
      readonly url: URL
      /** PEM of the roots that the server is verified by. Default: the system's. */
      readonly ca?: string
      /** PEM of an X.509-SVID and its key. */
      readonly certificate?: { readonly chain: string; readonly key: string }
      readonly token?: string
    }

export interface AdminOrder {
  readonly method: "GET" | "POST" | "DELETE"
  /** Below `/admin/v1`, with its values put in. */
  readonly path: string
  /** Query of a GET, else the body. */
  readonly input: JsonObject
}

/** The admin API of one server, as a client sees it. */
export interface AdminClient {
  /** @throws IdentityError as the server says it; `not-ready` when it cannot be reached */
  call(order: AdminOrder, signal: AbortSignal): Promise<JsonObject>
}

/** A connection for each call; nothing is kept open. */
export function openAdminClient(server: AdminServer): AdminClient {
  return {
    call: async (order, signal) => {
      const { status, headers, text } = await exchange(server, order, signal)
      if (status === 200) return parseJsonObject(text)
      if (status === 202) throw waitingFor(text)
      throw refusalOf(status, headers, text)
    },
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly text: string
}

function exchange(server: AdminServer, { method, path, input }: AdminOrder, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const body = method === "GET" ? undefined : JSON.stringify(input)
  const query = method === "GET" ? queryText(input) : ""
  const headers = {
    "assay-admin": "1",
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
    ...(server.kind === "https" && server.token !== undefined ? { authorization: `Bearer ${server.token}` } : {}),
  }
  const outgoing = start(server, { method, path: `/admin/v1${path}${query}`, headers, signal, agent: false })
  outgoing.on("response", (incoming) => void readAnswer(incoming).then(resolve, reject))
  outgoing.on("error", (cause) => reject(signal.aborted ? signal.reason : unreachable(server, cause)))
  outgoing.end(body)
  return promise
}

interface Options {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string | number>
  readonly signal: AbortSignal
  readonly agent: false
}

function start(server: AdminServer, options: Options): ClientRequest {
  if (server.kind === "socket")
    return httpRequest({ ...options, socketPath: server.path, headers: { host: "assay", ...options.headers } })
  const { url, ca, certificate } = server
  return httpsRequest({
    ...options,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 443 : Number(url.port),
    path: `${url.pathname.replace(/\/$/, "")}${options.path}`,
    ...(ca === undefined ? {} : { ca, checkServerIdentity: checkAdminServer }),
    minVersion: "TLSv1.2",
    ...(certificate === undefined ? {} : { cert: certificate.chain, key: certificate.key }),
  })
}

/** @throws IdentityError `malformed` for an answer longer than {@link MAX_ANSWER} */
async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of incoming) {
    if (!(chunk instanceof Buffer)) throw new TypeError("not bytes")
    length += chunk.length
    if (length > MAX_ANSWER) throw new IdentityError("malformed", "the server's answer is longer than 64 MiB")
    chunks.push(chunk)
  }
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    text: Buffer.concat(chunks).toString("utf8"),
  }
}

function queryText(input: JsonObject): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(input)) query.append(name, textOf(value))
  return query.size === 0 ? "" : `?${query.toString()}`
}

/** Not by `import`, which reads all exports, and some of these load Node's `fetch`, which nothing here uses. */
const { request: httpRequest } = process.getBuiltinModule("node:http")
const MAX_ANSWER = 64 * 1024 * 1024

/** A member as it stands in a path or query. @throws TypeError for a list or an object, which no operation takes there */
export function textOf(value: Json | undefined): string {
  if (typeof value === "string") return value
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  throw new TypeError("only text, numbers and booleans can stand in a path or query")
}
