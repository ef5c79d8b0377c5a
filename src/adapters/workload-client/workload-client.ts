import { type ClientReadableStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js"
import { makeChangeSignal } from "../../core/change-signal.ts"
import { IdentityError } from "../../core/errors.ts"
import { type JsonObject, parseJsonObject } from "../../core/json.ts"
import { Secret } from "../../core/secret.ts"
import type { WorkloadEndpoint } from "../../core/spiffe/endpoint.ts"
import { parseSpiffeId, trustDomainId, trustDomainOf } from "../../core/spiffe/id.ts"
import { splitCertificates } from "../../core/x509/certificate.ts"
import {
  type JWTBundlesResponse,
  type JWTSVIDResponse,
  SpiffeWorkloadAPIClient,
  type ValidateJWTSVIDResponse,
  type X509SVIDResponse,
} from "../../gen/spiffe/workload.ts"
import type { WorkloadApi, X509Material } from "../../ports/workload-api.ts"
import { workloadFailure } from "./failure.ts"

export interface WorkloadClient extends WorkloadApi, Disposable {}

/** A client of the Workload API at `endpoint`. Connects at the first call. */
export function openWorkloadClient(endpoint: WorkloadEndpoint): WorkloadClient {
  const address = addressOf(endpoint)
  const client = new SpiffeWorkloadAPIClient(address, credentials.createInsecure())
  const fail = (error: unknown) => workloadFailure(error, address)
  return {
    watchX509: (signal) => watch(client.fetchX509Svid({}, secured()), parseX509, fail, signal),
    watchJwtBundles: (signal) => watch(client.fetchJwtBundles({}, secured()), parseJwtBundles, fail, signal),
    fetchJwt: async (audience, spiffeId, signal) => {
      const request = { audience: [...audience], spiffeId: spiffeId ?? "" }
      const { svids } = await unary<JWTSVIDResponse>(
        (done) => client.fetchJwtsvid(request, secured(), done),
        fail,
        signal,
      )
      return svids.map(({ spiffeId, svid, hint }) => ({ spiffeId: parseSpiffeId(spiffeId), token: svid, hint }))
    },
    validateJwt: async (audience, token, signal) => {
      const request = { audience, svid: token }
      const reply = await unary<ValidateJWTSVIDResponse>(
        (done) => client.validateJwtsvid(request, secured(), done),
        fail,
        signal,
      )
      return { spiffeId: parseSpiffeId(reply.spiffeId), claims: claimsOf(reply) }
    },
    [Symbol.dispose]: () => client.close(),
  }
}

/** At most one message waits here, the newest: what was overtaken while the consumer was busy is none of its business. */
async function* watch<Message, Value>(
  stream: ClientReadableStream<Message>,
  parse: (message: Message) => Value,
  fail: (error: unknown) => IdentityError,
  signal: AbortSignal,
): AsyncGenerator<Value, void, void> {
  const cancel = () => stream.cancel()
  signal.addEventListener("abort", cancel, { once: true })
  if (signal.aborted) cancel()
  try {
    for await (const message of newestOf(stream, signal)) yield parse(message)
  } catch (error) {
    if (!signal.aborted) throw error instanceof IdentityError ? error : fail(error)
  } finally {
    signal.removeEventListener("abort", cancel)
    cancel()
  }
}

/** Ends with the stream, or on abort. @throws what the stream fails with */
async function* newestOf<Message>(
  stream: ClientReadableStream<Message>,
  signal: AbortSignal,
): AsyncGenerator<Message, void, void> {
  const events = makeChangeSignal()
  const seen: { newest?: Message; end?: { readonly error?: unknown } } = {}
  const finish = (end: { readonly error?: unknown }) => {
    seen.end ??= end // a cancelled stream reports once more
    events.fire()
  }
  stream.on("error", (error) => finish({ error })).on("end", () => finish({}))
  stream.on("data", (message: Message) => {
    seen.newest = message
    events.fire()
  })
  while (!signal.aborted) {
    const { newest, end } = seen
    delete seen.newest
    if (newest !== undefined) yield newest
    else if (end === undefined) await events.changed(signal)
    else if ("error" in end) throw end.error
    else return
  }
}

function unary<Reply>(
  invoke: (done: (error: ServiceError | null, reply: Reply) => void) => { cancel(): void },
  fail: (error: unknown) => IdentityError,
  signal: AbortSignal,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const call = invoke((error, reply) => {
      signal.removeEventListener("abort", cancel)
      if (error === null) resolve(reply)
      else reject(fail(error))
    })
    const cancel = () => call.cancel()
    signal.addEventListener("abort", cancel, { once: true })
    if (signal.aborted) cancel()
  })
}

function parseX509(message: X509SVIDResponse): X509Material {
  if (message.svids.length === 0) throw new IdentityError("no-identity", "the Workload API sent no SVID")
  return {
    svids: message.svids.map((svid) => ({
      spiffeId: parseSpiffeId(svid.spiffeId),
      hint: svid.hint,
      chain: splitCertificates(svid.x509Svid),
      key: new Secret(svid.x509SvidKey),
      bundle: splitCertificates(svid.bundle),
    })),
    federated: new Map(
      Object.entries(message.federatedBundles).map(([id, der]) => [canonical(id), splitCertificates(der)]),
    ),
  }
}

function parseJwtBundles(message: JWTBundlesResponse): ReadonlyMap<string, string> {
  return new Map(Object.entries(message.bundles).map(([id, keys]) => [canonical(id), keys.toString("utf8")]))
}

function canonical(id: string): string {
  return trustDomainId(trustDomainOf(parseSpiffeId(id)))
}

function claimsOf(reply: ValidateJWTSVIDResponse): JsonObject {
  return parseJsonObject(JSON.stringify(reply.claims ?? {}))
}

function addressOf(endpoint: WorkloadEndpoint): string {
  if (endpoint.kind === "unix") return `unix://${endpoint.path}`
  return endpoint.host.includes(":") ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`
}

function secured(): Metadata {
  const metadata = new Metadata()
  metadata.set("workload.spiffe.io", "true")
  return metadata
}
