import { createHash } from "node:crypto"
import { type MemoryStore, openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { createTrustDomain } from "../../src/app/authority/create-trust-domain.ts"
import { type IssuingAuthorities, openIssuingAuthorities } from "../../src/app/authority/issuing-authorities.ts"
import { type JwtKeySet, openJwtKeySet } from "../../src/app/authority/jwt-key-set.ts"
import { openTrustState, type TrustState } from "../../src/app/authority/trust-state.ts"
import { type BanView, openBanView } from "../../src/app/ban/ban-view.ts"
import { guardBans } from "../../src/app/ban/guard-bans.ts"
import { makeAuthorize } from "../../src/app/issue/authorize.ts"
import { makeCertify } from "../../src/app/issue/certify.ts"
import { makeClockGuard } from "../../src/app/issue/clock-guard.ts"
import { commitThenSign } from "../../src/app/issue/commit-then-sign.ts"
import { hearOfEmergencies } from "../../src/app/issue/hear-of-emergencies.ts"
import { makeIssueJwt } from "../../src/app/issue/issue-jwt.ts"
import { makeIssueX509 } from "../../src/app/issue/issue-x509.ts"
import { makeRateLimit, type RateLimits } from "../../src/app/issue/rate-limit.ts"
import type { IssueJwt, IssueX509, JwtRequest, X509Request } from "../../src/app/issue/requests.ts"
import type { JwtKeyAlgorithm } from "../../src/core/authority/jwt-keys.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { AttestedClaims } from "../../src/core/policy/attested.ts"
import { decideIdentities } from "../../src/core/policy/decide.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { verifyInPool } from "../../src/core/x509/signature.ts"
import type { Signer } from "../../src/ports/keys.ts"
import { attestedCaller } from "./attested-caller.ts"
import { FakeClock } from "./fake-clock.ts"
import { FakeKeyStore, type OnSign, watchedKeys } from "./fake-keys.ts"
import { proveFreshKey } from "./identity-peer.ts"
import { rule, table } from "./rule-table.ts"

/** The issuance cycle over a store in memory, with every step that it takes in {@link steps}. */
export interface IssueFixture {
  readonly clock: FakeClock
  readonly store: MemoryStore
  readonly trust: TrustState
  readonly issuing: IssuingAuthorities
  readonly jwtKeys: JwtKeySet
  readonly keys: FakeKeyStore
  readonly bans: BanView
  /** Keys of issuing authorities that this process has. */
  readonly issuingKeys: ReadonlySet<Signer>
  readonly issueX509: IssueX509
  readonly issueJwt: IssueJwt
  /** `attest`, `intent`, `audit`, `sign <key>`, `outcome`, `issued`, `refused <code>`. */
  readonly steps: string[]
  /** What every token attests to; a test may change it. Token `expired` does not attest. */
  caller: Partial<AttestedClaims>
  /** What attestation fails with. */
  failAttest: IdentityError | undefined
  /** LIN-12. */
  oneAgentPerPod: boolean
  rules: RuleTable
  limits: RateLimits
  /** What leaves and tokens were signed for. */
  readonly signed: Uint8Array[]
  /** Called before each signature of a leaf or a token. */
  onSign: OnSign
  random: (bytes: number) => Uint8Array
}

export interface IssueFixtureOptions {
  readonly jitter?: number
  readonly issuingTtl?: number
  /** Default ES256 alone. */
  readonly jwtAlgorithms?: readonly JwtKeyAlgorithm[]
  /** Goes on, as a new process would, with store, keys and clock of this one. */
  readonly after?: Pick<IssueFixture, "store" | "keys" | "clock">
  /** Default: fails the test. */
  readonly stepFailed?: (what: string, thrown: unknown) => void
}

export const FIXTURE_START = 1_800_000_000

export async function openIssueFixture(options: IssueFixtureOptions = {}): Promise<IssueFixture> {
  const { after } = options
  const clock = after?.clock ?? new FakeClock(FIXTURE_START)
  const store = after?.store ?? openMemoryStore()
  const random = makeSystemRandom()
  const knobs: Knobs = {
    caller: {},
    failAttest: undefined,
    oneAgentPerPod: false,
    rules: table([rule({ name: "default", spiffeId: "/ns/{{namespace}}/sa/{{service_account}}" })]),
    limits: { perIdentity: { perSecond: 1000, burst: 1000 }, global: { perSecond: 1000, burst: 1000 } },
    onSign: () => undefined,
    random,
  }
  const steps: string[] = []
  const signed: Uint8Array[] = []
  const onSign: OnSign = async (data, keyId) => {
    steps.push(`sign ${keyId.split("-")[0]}`)
    signed.push(data)
    await knobs.onSign(data, keyId)
  }
  // The root signs authorities, which is not the cycle's matter.
  const keys =
    after?.keys ?? new FakeKeyStore((data, keyId) => (keyId.startsWith("root") ? undefined : onSign(data, keyId)))
  const guard = makeClockGuard(clock)
  const authority = {
    journal: store.authorityJournal,
    audit: store.auditLog,
    keys,
    clock,
    guard,
    random,
    events: {
      issuingAdopted: () => undefined,
      stepFailed: options.stepFailed ?? raise,
    },
  }
  const subject = { commonName: "Test", organization: undefined }
  const plan = { algorithm: "ec-p256", backdate: 3600, subject } as const
  const domain = { ...plan, trustDomain: parseTrustDomain("prod.example"), rootTtl: 864_000 }
  if (after === undefined) await createTrustDomain(domain, { ...authority, chain: store.auditChain })
  const trust = await openTrustState(store.authorityJournal)
  const jwtKeys = await openJwtKeySet({
    ...authority,
    trust,
    algorithms: options.jwtAlgorithms ?? ["ES256"],
  })
  const issuingKeys = new Set<Signer>()
  const issuing = await openIssuingAuthorities({
    ...authority,
    trust,
    ephemeral: watchedKeys(onSign, issuingKeys),
    plan: { ...plan, ttl: options.issuingTtl ?? 86_400, serialPrefix: 1 },
  })
  const events = {
    x509Issued: () => void steps.push("issued"),
    jwtIssued: () => void steps.push("issued"),
    accessTokenIssued: () => void steps.push("issued"),
    renewalRefused: (_: string, __: string, error: IdentityError) => void steps.push(`refused ${error.reason}`),
    refused: (_: string, __: string, error: IdentityError) => void steps.push(`refused ${error.code}`),
  }
  const bans = await openBanView({
    log: store.banLog,
    clock,
    steady: () => true,
    onReadFailed: raise.bind(null, "bans"),
  })
  const authorize = makeAuthorize({
    attest: async (token) => {
      steps.push("attest")
      if (knobs.failAttest !== undefined) throw knobs.failAttest
      if (token === "expired") throw new IdentityError("unauthenticated", "expired", { reason: "token-expired" })
      return attestedCaller({ evidenceDigest: createHash("sha256").update(token).digest(), ...knobs.caller })
    },
    decide: (attested) => decideIdentities(attested, knobs.rules),
    rateLimit: makeRateLimit(
      () => knobs.limits,
      () => clock.monotonic(),
    ),
    audit: { append: (event) => noted("audit", store.auditLog.append(event)) },
    bans,
    clock,
    guard,
    events,
  })
  const log = {
    recordIntent: (...call: Parameters<typeof store.issuanceLog.recordIntent>) =>
      noted("intent", store.issuanceLog.recordIntent(...call)),
    recordOutcome: (serial: string, signature: Uint8Array) => {
      steps.push("outcome")
      store.issuanceLog.recordOutcome(serial, signature)
    },
    flush: () => store.issuanceLog.flush(),
    search: store.issuanceLog.search.bind(store.issuanceLog),
    findRequester: (serial: string) => store.issuanceLog.findRequester(serial),
  }
  const common = {
    authorize,
    signIntent: guardBans({
      sign: hearOfEmergencies(commitThenSign(log), trust),
      bans,
      audit: store.auditLog,
      clock,
      events,
    }),
    clock,
    events,
    random: (bytes: number) => knobs.random(bytes),
  }
  const noted = async <T>(step: string, write: Promise<T>): Promise<T> => {
    const result = await write
    steps.push(step)
    return result
  }
  return Object.assign(knobs, {
    clock,
    store,
    trust,
    issuing,
    jwtKeys,
    keys,
    bans,
    issuingKeys,
    steps,
    signed,
    issueX509: makeIssueX509({
      issued: () => undefined,
      hasOneAgent: () => knobs.oneAgentPerPod,
      authorize,
      events,
      certify: makeCertify({
        verify: verifyInPool,
        ...common,
        issuing,
        journal: store.authorityJournal,
        profile: { jitter: options.jitter ?? 0, backdate: 10, csrBytes: () => 8192, serialPrefix: 1 },
      }),
    }),
    issueJwt: makeIssueJwt({
      ...common,
      keys: jwtKeys,
      algorithmFor: () => undefined,
      issuer: "https://issuer.example",
      epoch: () => trust.snapshot().epoch,
    }),
  })
}

type Knobs = Pick<IssueFixture, "caller" | "failAttest" | "oneAgentPerPod" | "rules" | "limits" | "onSign" | "random">

/** A request with a fresh key. */
export function x509Request(change: Partial<X509Request> = {}): X509Request {
  const token = change.token ?? "token"
  const { publicKey, proof } = proveFreshKey(token)
  const key = { kind: "proven-key", publicKey, proof } as const
  return { token, spiffeId: undefined, ttl: undefined, requestId: "r1", key, ...change }
}

export function jwtRequest(change: Partial<JwtRequest> = {}): JwtRequest {
  return { token: "token", spiffeId: undefined, ttl: undefined, requestId: "r1", audience: ["db"], ...change }
}

function raise(_what: string, thrown: unknown): never {
  throw thrown
}

export const NEVER = new AbortController().signal
