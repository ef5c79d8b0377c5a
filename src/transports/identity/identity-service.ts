import type { ServerDuplexStream } from "@grpc/grpc-js"
import type { Subscribers } from "../../app/deliver/consumers.ts"
import type { WatchEntitlements } from "../../app/deliver/entitlements.ts"
import type { IssueJwt, IssueX509 } from "../../app/issue/requests.ts"
import type { Holder } from "../../core/authority/holder.ts"
import { IdentityError } from "../../core/errors.ts"
import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import {
  type BatchIssueJwtRequest,
  type BatchIssueJwtResponse,
  type BatchIssueX509Request,
  type BatchIssueX509Response,
  type Bundle,
  type FetchBundleResponse,
  IdentityService,
  type IssueJwtRequest,
  type IssueJwtResponse,
  type IssueX509Request,
  type IssueX509Response,
  type SubscribeRequest,
  type SubscribeResponse,
} from "../../gen/assay/v1/identity.ts"
import type { Random } from "../../ports/random.ts"
import { bearerToken, boundedToken } from "../grpc/bearer.ts"
import type { GrpcService } from "../grpc/listen.ts"
import { callSignal } from "../grpc/signal.ts"
import { toStatus } from "../grpc/status.ts"
import type { HandleUnary, UnaryCall } from "../grpc/unary-call.ts"
import { encodeBatchIssueX509, encodeIssueJwt, encodeIssueX509 } from "./encode-issued.ts"
import * as wire from "./messages.ts"
import { serveSubscription } from "./subscription.ts"

export interface IdentityServiceDeps {
  readonly issueX509: IssueX509
  readonly issueJwt: IssueJwt
  readonly watchEntitlements: WatchEntitlements
  readonly holderOf: (token: string, signal: AbortSignal) => Promise<Holder>
  readonly subscribers: Subscribers
  readonly snapshot: () => TrustSnapshot
  /** What {@link UnaryCall.shown} is on a connection that proves trust in the root of a rotation; `undefined`: there is none. */
  readonly probe: () => string | undefined
  readonly encodeJwks: wire.EncodeJwks
  readonly newRequestId: () => string
  readonly random: Random
  readonly limits: () => IdentityLimits
  /** Aborts when the server goes away: subscriptions end well, so that their agents turn to another one. */
  readonly closing: AbortSignal
}

export interface IdentityLimits {
  readonly csrBytes: number
  readonly tokenBytes: number
  /** How long a subscription may live before the subscriber must prove itself again, seconds. */
  readonly streamAge: number
}

/** assay.v1.Identity: parse, hand to the pipeline, render. */
export function makeIdentityService(deps: IdentityServiceDeps): GrpcService {
  const bundle = makeBundleCache(deps)
  const proven = (call: X509Call) => {
    const probe = deps.probe()
    return probe !== undefined && call.shown === probe
  }
  const x509 = (item: IssueX509Request, call: X509Call, token: string, requestId: string, signal: AbortSignal) =>
    deps.issueX509(
      {
        token,
        requestId,
        spiffeId: wire.wantedId(item.spiffeId),
        ttl: item.ttlSeconds === 0 ? undefined : item.ttlSeconds,
        key: wire.keyEvidence(item, deps.limits().csrBytes),
        bundleEpoch: item.bundleEpoch,
        proven: item.bundleEpoch > 0 && proven(call),
        renews: wire.quotedSerial(item.renews),
      },
      signal,
    )
  const jwt = (item: IssueJwtRequest, token: string, requestId: string, signal: AbortSignal) =>
    deps.issueJwt(
      {
        token,
        requestId,
        spiffeId: wire.wantedId(item.spiffeId),
        ttl: item.ttlSeconds === 0 ? undefined : item.ttlSeconds,
        audience: wire.audiences(item.audience),
      },
      signal,
    )
  const caller = (call: Call) => bearerToken(call.metadata, deps.limits().tokenBytes)

  return {
    definition: DEFINITION,
    direct: ["fetchBundle", "issueX509", "batchIssueX509", "issueJwt", "batchIssueJwt"],
    implementation: {
      fetchBundle: unary<unknown, FetchBundleResponse>(deps, async () => ({ bundle: bundle() })),
      issueX509: unary<IssueX509Request, IssueX509Response>(deps, async (call, requestId, signal) => {
        const svid = await x509(call.request, call, caller(call), requestId, signal)
        return wire.encodeX509(svid, call.request.withBundle ? bundle() : undefined)
      }),
      batchIssueX509: unary<BatchIssueX509Request, BatchIssueX509Response>(deps, async (call, requestId, signal) => {
        const items = bounded(call.request.items)
        const tokenOf = itemTokens(call, deps.limits().tokenBytes)
        const outcomes = await settleAll(items, (item, n) =>
          x509(item, call, tokenOf(item), `${requestId}.${n}`, signal),
        )
        const wanted = items.some((item) => item.withBundle)
        return { results: outcomes.map(wire.x509Result), bundle: wanted ? bundle() : undefined }
      }),
      issueJwt: unary<IssueJwtRequest, IssueJwtResponse>(deps, async (call, requestId, signal) => {
        return wire.encodeJwt(await jwt(call.request, caller(call), requestId, signal))
      }),
      batchIssueJwt: unary<BatchIssueJwtRequest, BatchIssueJwtResponse>(deps, async (call, requestId, signal) => {
        const items = bounded(call.request.items)
        const tokenOf = itemTokens(call, deps.limits().tokenBytes)
        const outcomes = await settleAll(items, (item, n) => jwt(item, tokenOf(item), `${requestId}.${n}`, signal))
        return { results: outcomes.map(wire.jwtResult) }
      }),
      subscribe: (stream: ServerDuplexStream<SubscribeRequest, SubscribeResponse>) => {
        void serveSubscription(stream, deps)
      },
    },
  }
}

type X509Call = Pick<UnaryCall<unknown>, "shown">
type Call = Pick<UnaryCall<unknown>, "metadata">

/** One unary handler: request id, cancellation, and errors as statuses. */
function unary<Request, Response>(
  deps: IdentityServiceDeps,
  handle: (call: UnaryCall<Request>, requestId: string, signal: AbortSignal) => Promise<Response>,
): HandleUnary<Request, Response> {
  return (call, reply) => {
    const requestId = deps.newRequestId()
    handle(call, requestId, callSignal(call)).then(
      (response) => reply(null, response),
      (thrown: unknown) => reply(toStatus(thrown, {}, requestId)),
    )
  }
}

/** The own bundle, encoded once per epoch. */
function makeBundleCache(deps: IdentityServiceDeps): () => Bundle {
  let cached: { readonly snapshot: TrustSnapshot; readonly bundle: Bundle } | undefined
  return () => {
    const snapshot = deps.snapshot()
    if (cached?.snapshot !== snapshot) cached = { snapshot, bundle: wire.encodeBundle(snapshot.own, deps.encodeJwks) }
    return cached.bundle
  }
}

/** The token of a batch item, else the one of the call, which then must be there. */
function itemTokens(call: Call, maxBytes: number): (item: { readonly token: string }) => string {
  let shared: string | undefined
  return (item) => {
    if (item.token !== "") return boundedToken(item.token, maxBytes)
    shared ??= bearerToken(call.metadata, maxBytes)
    return shared
  }
}

function settleAll<Item, Result>(
  items: readonly Item[],
  issue: (item: Item, index: number) => Promise<Result>,
): Promise<PromiseSettledResult<Result>[]> {
  return Promise.allSettled(items.map(async (item, index) => issue(item, index)))
}

function bounded<Item>(items: readonly Item[]): readonly Item[] {
  if (items.length === 0) throw new IdentityError("malformed", "batch has no items")
  if (items.length > MAX_BATCH) throw new IdentityError("malformed", `batch has more than ${MAX_BATCH} items`)
  return items
}

const MAX_BATCH = 64
const DEFINITION = {
  ...IdentityService,
  issueX509: { ...IdentityService.issueX509, responseSerialize: encodeIssueX509 },
  batchIssueX509: { ...IdentityService.batchIssueX509, responseSerialize: encodeBatchIssueX509 },
  issueJwt: { ...IdentityService.issueJwt, responseSerialize: encodeIssueJwt },
} as const
