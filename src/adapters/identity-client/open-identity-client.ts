import { createHash } from "node:crypto"
import type { ServiceError } from "@grpc/grpc-js"
import { type ErrorCode, IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { provenKeyMessage } from "../../core/x509/csr.ts"
import type { IdentityClient, IssueX509Request } from "../../gen/assay/v1/identity.ts"
import type {
  IdentityAuthority,
  JwtIssued,
  JwtOrder,
  Outcome,
  Subscription,
  X509Issued,
  X509Order,
} from "../../ports/identity-authority.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { Bootstrap } from "./bootstrap.ts"
import { bearer, callUnary, type UnaryMethod } from "./call-unary.ts"
import { Channel, type ChannelDeps } from "./channel.ts"
import type { ServerEndpoint } from "./channel-trust.ts"
import { clip, MAX_NAME, parseJwtResult, parseX509Result } from "./messages.ts"
import type { TrustProof } from "./prove-trust.ts"
import { readToken } from "./read-token.ts"
import { isServiceError } from "./service-error.ts"
import { isServersAnswer, statusToError } from "./status-to-error.ts"
import { StreamSubscription } from "./stream-subscription.ts"

export interface IdentityClientSettings {
  readonly endpoint: ServerEndpoint
  readonly bootstrap: Bootstrap
  /** The platform token, read anew for every call. */
  readonly tokenFile: string
  /** Deadline of one call. */
  readonly timeout: Millis
  /** Told to the server, for people. */
  readonly agent: { readonly name: string; readonly version: string }
}

/**
 * An Assay server over gRPC and TLS. Nothing is read or connected before the first call, and no call is tried twice.
 * @see AGT-30..AGT-38
 */
export function openIdentityClient(
  settings: IdentityClientSettings,
  deps: ChannelDeps,
): IdentityAuthority & AsyncDisposable {
  return new GrpcAuthority(settings, deps)
}

class GrpcAuthority implements IdentityAuthority, AsyncDisposable {
  readonly #settings: IdentityClientSettings
  readonly #channel: Channel
  readonly #log: Log

  constructor(settings: IdentityClientSettings, deps: ChannelDeps) {
    this.#settings = settings
    this.#log = deps.log
    this.#channel = new Channel(settings.endpoint, settings.bootstrap, deps)
  }

  async issueX509(orders: readonly X509Order[], signal: AbortSignal): Promise<readonly Outcome<X509Issued>[]> {
    const token = await readToken(this.#settings.tokenFile)
    const digest = createHash("sha256").update(token).digest()
    const quotes = orders.some(({ bundleEpoch = 0 }) => bundleEpoch > 0)
    const proof = quotes ? await this.#channel.prove() : NO_PROOF
    const quoted = proof.kind === "untrusted" ? orders.map((order) => ({ ...order, bundleEpoch: 0 })) : orders
    const items = await Promise.all(quoted.map((order) => encodeOrder(order, digest)))
    const method = (client: IdentityClient) => client.batchIssueX509.bind(client)
    const { results } =
      proof.kind === "proven"
        ? await this.#callOver(proof.client, method, { items }, token, signal).finally(() => proof.client.close())
        : await this.#call(method, { items }, token, signal)
    return checkCount(results.map(parseX509Result), orders.length)
  }

  async issueJwt(orders: readonly JwtOrder[], signal: AbortSignal): Promise<readonly Outcome<JwtIssued>[]> {
    const token = await readToken(this.#settings.tokenFile)
    const items = orders.map(({ spiffeId, audience }) => ({
      spiffeId,
      audience: [...audience],
      token: "",
      ttlSeconds: 0,
    }))
    const { results } = await this.#call((client) => client.batchIssueJwt.bind(client), { items }, token, signal)
    return checkCount(results.map(parseJwtResult), orders.length)
  }

  subscribe(signal: AbortSignal): Subscription {
    const { agent, tokenFile } = this.#settings
    return new StreamSubscription(
      {
        lease: () => this.#channel.lease(signal),
        authorization: async () => bearer(await readToken(tokenFile)),
        adopted: (roots) => this.#channel.trust(roots),
        reached: () => this.#channel.confirmed(),
        explain: (thrown) => this.#explain(thrown),
        log: this.#log,
        hello: { agent: clip(agent.name, MAX_NAME), version: clip(agent.version, MAX_NAME) },
      },
      signal,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#channel[Symbol.dispose]()
  }

  async #call<Request, Response>(
    method: (client: IdentityClient) => UnaryMethod<Request, Response>,
    request: Request,
    token: string,
    signal: AbortSignal,
  ): Promise<Response> {
    using lease = await this.#channel.lease(signal)
    return await this.#callOver(lease.client, method, request, token, signal)
  }

  async #callOver<Request, Response>(
    client: IdentityClient,
    method: (client: IdentityClient) => UnaryMethod<Request, Response>,
    request: Request,
    token: string,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      const response = await callUnary(method(client), request, token, this.#settings.timeout, signal)
      this.#channel.confirmed()
      return response
    } catch (thrown) {
      throw await this.#explain(thrown)
    }
  }

  async #explain(thrown: unknown): Promise<IdentityError> {
    if (!isServiceError(thrown)) return toIdentityError(thrown)
    const error = statusToError(thrown)
    if (isServersAnswer(thrown)) return error
    if (error.code !== "not-ready") return new IdentityError(error.code, unanswered(error.code), { cause: thrown })
    return (await this.#channel.explain()) ?? unreachable(thrown)
  }
}

const NO_PROOF: TrustProof = { kind: "none" }

async function encodeOrder(
  { spiffeId, key, bundleEpoch = 0, renews = "" }: X509Order,
  tokenDigest: Uint8Array,
): Promise<IssueX509Request> {
  const proof = await key.sign(provenKeyMessage(tokenDigest, key.publicKey), "der")
  const value = { publicKey: Buffer.from(key.publicKey), proof: Buffer.from(proof) }
  const common = { spiffeId, token: "", ttlSeconds: 0, withBundle: false, bundleEpoch, renews }
  return { ...common, key: { $case: "provenKey", value } }
}

function checkCount<T>(results: readonly T[], expected: number): readonly T[] {
  if (results.length === expected) return results
  throw new IdentityError("malformed", `the server answered ${results.length} of ${expected} orders`)
}

/** As {@link unreachable}, of any other end without a word of the server. */
function unanswered(code: ErrorCode): string {
  return code === "deadline" ? "the server did not answer in time" : "the call to the server failed"
}

/** grpc-js's own text names addresses and internals, so it goes to the log only. @see AGT-33 */
function unreachable(cause: ServiceError): IdentityError {
  return new IdentityError("not-ready", "the server cannot be reached", { cause })
}
