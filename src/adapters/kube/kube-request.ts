import type { ClientRequest, IncomingMessage } from "node:http"
import { Agent, request as httpsRequest } from "node:https"
import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { waitFor } from "../../core/wait-for.ts"
import type { KubeEndpoint } from "./kube-endpoint.ts"

export interface KubeRequest {
  /** Added to the server's path; empty for that path itself. */
  readonly path: string
  /** JSON to POST; `undefined` for a GET. */
  readonly body: string | undefined
  /** The body is applied to the object at `path` by this field manager, whoever wrote its fields before. */
  readonly applyAs?: string
}

export interface KubeReply {
  readonly status: number
  readonly body: string
}

/**
 * One request, one reply of at most 512 KiB within 10 s, the wait for credentials among them. Redirects are not followed: a 3xx is a reply like any other.
 * @throws IdentityError `attestor-down` @see ATT-15 INV-20
 */
export async function sendKubeRequest(
  endpoint: KubeEndpoint,
  order: KubeRequest,
  signal: AbortSignal,
): Promise<KubeReply> {
  try {
    const request = await open(endpoint, order, signal)
    request.end(order.body)
    const response = await responseOf(request)
    return { status: response.statusCode ?? 0, body: await readBody(response) }
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    throw new IdentityError("attestor-down", "the cluster did not answer", { cause })
  }
}

async function open(endpoint: KubeEndpoint, order: KubeRequest, signal: AbortSignal): Promise<ClientRequest> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)])
  const { ca, authorization, cert, key, serverName } = await waitFor(endpoint.credentials(), limited)
  const options = {
    method: order.body === undefined ? "GET" : order.applyAs === undefined ? "POST" : "PATCH",
    signal: limited,
    maxHeaderSize: MAX_HEADERS,
    headers: {
      accept: "application/json, application/jwk-set+json",
      ...(authorization === undefined ? {} : { authorization }),
      ...(order.body === undefined
        ? {}
        : { "content-type": contentType(order), "content-length": Buffer.byteLength(order.body) }),
    },
  }
  const url = new URL(endpoint.server)
  if (order.path !== "") url.pathname = `${endpoint.server.pathname.replace(/\/$/, "")}${order.path}`
  if (order.applyAs !== undefined) url.search = `?fieldManager=${order.applyAs}&force=true`
  if (url.protocol === "http:") return httpRequest(url, options)
  return httpsRequest(url, {
    ...options,
    agent: AGENT,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  })
}

/** JSON is YAML. */
function contentType({ applyAs }: KubeRequest): string {
  return applyAs === undefined ? "application/json" : "application/apply-patch+yaml"
}

function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve)
    request.on("error", reject)
  })
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_BODY) throw new RangeError("reply is longer than 512 KiB")
    chunks.push(bytes)
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks))
}

/** Not by `import`, which reads all exports, and some of these load Node's `fetch`: 3 MiB that nothing here uses. */
const { request: httpRequest } = process.getBuiltinModule("node:http")
/** Connections are kept by host, CA and client key, so credentials never mix. No TLS session outlives its connection. */
const AGENT = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 8, maxCachedSessions: 0, timeout: 30_000 })
const TIMEOUT: Millis = 10_000
const MAX_BODY = 512 * 1024
const MAX_HEADERS = 16 * 1024
