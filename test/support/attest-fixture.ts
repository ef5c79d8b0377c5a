import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeJwksKeys } from "../../src/adapters/kube/jwks-keys.ts"
import { type AttestToken, makeAttestToken } from "../../src/app/attest/attest-token.ts"
import type { ClusterTrust } from "../../src/app/attest/cluster-trust.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { Attested } from "../../src/core/policy/attested.ts"
import { LocalCluster, type LocalPod } from "../../src/main/demo/local-cluster.ts"
import type { ClusterKeys, TokenReviewer, TokenReviewResult } from "../../src/ports/kube.ts"
import { FakeClock } from "./fake-clock.ts"

export const AUDIENCE = "assay.test"
export const ISSUER = "https://kubernetes.default.svc"
export const START = 1_800_000_000

/** A reviewer whose answers a test decides, and that keeps what it was asked. */
export class FakeReviewer implements TokenReviewer {
  readonly asked: { readonly token: string; readonly audiences: readonly string[] }[] = []
  /** Replaces or throws; gets what the stand-in cluster would say. */
  answer: (honest: TokenReviewResult, signal: AbortSignal) => TokenReviewResult | Promise<TokenReviewResult> = (
    honest,
  ) => honest
  readonly #cluster: LocalCluster

  constructor(cluster: LocalCluster) {
    this.#cluster = cluster
  }

  async review(token: string, audiences: readonly string[], signal: AbortSignal): Promise<TokenReviewResult> {
    if (audiences.length === 0) throw new TypeError("asked without audience")
    this.asked.push({ token, audiences })
    return await this.answer(honestAnswer(this.#cluster, token, audiences), signal)
  }
}

/** What one attestation test works with: a stand-in cluster that Assay trusts, a clock, and every event that was reported. */
export interface AttestFixture {
  readonly clock: FakeClock
  readonly cluster: LocalCluster
  readonly reviewer: FakeReviewer
  readonly pod: LocalPod
  readonly attest: AttestToken
  /** How the last attestations came about, or the reasons they were refused for. */
  readonly events: string[]
  /** How often a signature was to be verified. */
  verified: number
  livePods: ReadonlySet<string>
  clusters: readonly ClusterTrust[]
  readonly token: (claims?: Readonly<Record<string, unknown>>) => string
}

export function makeAttestFixture(change: Partial<ClusterTrust> = {}): AttestFixture {
  const clock = new FakeClock(START)
  const cluster = new LocalCluster(ISSUER, () => clock.now())
  const pod = cluster.createPod("shop", "cart", "cart-0")
  const reviewer = new FakeReviewer(cluster)
  const events: string[] = []
  const keys = keysOf(cluster, clock)
  const counted: ClusterKeys = {
    verify: (jws, signal) => {
      fixture.verified++
      return keys.verify(jws, signal)
    },
  }
  const fixture: AttestFixture = {
    clock,
    cluster,
    reviewer,
    pod,
    events,
    verified: 0,
    livePods: new Set(),
    clusters: [trust("east", { keys: counted, review: { mode: "always", reviewer, degradedFor: 0 }, ...change })],
    attest: makeAttestToken({
      clock,
      clusters: () => fixture.clusters,
      liveSvid: async ({ podUid }) => fixture.livePods.has(podUid),
      telemetry: {
        attested: (attested, how) => events.push(attested.claims.degraded ? `${how} degraded` : how),
        refused: (error) => events.push(error.reason ?? error.code),
        reviewed: (name, outcome) => events.push(`review ${name} ${outcome}`),
      },
    }),
    token: (claims = {}) => cluster.signToken({ ...claimsOf(cluster.issueToken(pod, ORDER)), ...claims }),
  }
  return fixture
}

export function trust(name: string, rest: Pick<ClusterTrust, "keys"> & Partial<ClusterTrust>): ClusterTrust {
  return {
    name,
    issuer: ISSUER,
    audiences: [AUDIENCE],
    review: { mode: "off" },
    requireBoundPod: true,
    requireBoundNode: true,
    ...rest,
  }
}

export function keysOf(cluster: LocalCluster, clock: FakeClock): ClusterKeys {
  return makeJwksKeys({
    source: { read: async () => cluster.jwks(), lifetime: 300, cooldown: 30 },
    verifier: makeJwsVerifier(),
    clock,
    onReadFailed: (error) => {
      throw error
    },
  })
}

export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
}

/** The reason and code of the refusal, as `reason code`; fails when the token is accepted. */
export async function refusalOf(attested: Promise<Attested>): Promise<string> {
  try {
    await attested
  } catch (thrown) {
    if (thrown instanceof IdentityError) return `${thrown.reason} ${thrown.code}`
    throw thrown
  }
  throw new Error("the token was accepted")
}

export const NEVER = new AbortController().signal
export const ORDER = { audience: [AUDIENCE], lifetime: 3600 }

function honestAnswer(cluster: LocalCluster, token: string, audiences: readonly string[]): TokenReviewResult {
  const { status } = cluster.review(token, audiences)
  // The stand-in cluster speaks the API's own form, in which what is empty is left out.
  const { user, ...rest } = status as Partial<TokenReviewResult> & { readonly user: Partial<TokenReviewResult> }
  const { username = "", uid = "", extra = {} } = user
  const { authenticated = false, error = "", audiences: granted = [] } = rest
  return { authenticated, error, audiences: granted, username, uid, extra }
}
