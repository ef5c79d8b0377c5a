import { makeSystemRandom } from "../../../src/adapters/system/random.ts"
import { rootId } from "../../../src/app/authority/root-id.ts"
import type { TrustState } from "../../../src/app/authority/trust-state.ts"
import { RenewOrders } from "../../../src/app/deliver/renew-orders.ts"
import { makeClockGuard } from "../../../src/app/issue/clock-guard.ts"
import { makeDescribeRotation } from "../../../src/app/rotate/describe-rotation.ts"
import { jwtAuthority } from "../../../src/app/rotate/jwt-authority.ts"
import { jwtEvidence } from "../../../src/app/rotate/jwt-evidence.ts"
import { makeOperateRotation } from "../../../src/app/rotate/operate-rotation.ts"
import { rootAuthority } from "../../../src/app/rotate/root-authority.ts"
import { type ControllerDeps, makeRotationController } from "../../../src/app/rotate/rotation-controller.ts"
import type { ConsumerRow, RotationEvidence } from "../../../src/core/authority/evidence.ts"
import { type JwtKeyAlgorithm, jwtRotationDue } from "../../../src/core/authority/jwt-keys.ts"
import { renewOrder } from "../../../src/core/authority/renew-waves.ts"
import type { RotationKind } from "../../../src/core/authority/rotation-state.ts"
import { type IssueFixture, openIssueFixture } from "../issue-fixture.ts"

export const SKEW = 30
const ROOT = { algorithm: "ec-p256", backdate: 3600, ttl: 864_000 } as const
export const JWT_SCHEDULE = { keyTtl: 86_400, publishAhead: 3600 }
export const ALICE = { actor: "alice", requestId: "q1" }
export const WISH = { auto: true, canary: { namespaces: [], prefixes: [] } }

/** A server's rotation over the fixture's store, keys and clock. */
export type Controlled = Awaited<ReturnType<typeof openControlled>>

export interface ControlledOptions {
  /** Default `x509`. */
  readonly kind?: RotationKind
  /** Default: none for a root, and {@link JWT_SCHEDULE} for JWT keys. */
  readonly schedule?: ControllerDeps["schedule"]
  /** Default ES256 alone. */
  readonly jwtAlgorithms?: readonly JwtKeyAlgorithm[]
  /** Of JWT keys. Default: that of {@link JWT_SCHEDULE}. */
  readonly publishAhead?: number
  readonly holder?: string
  readonly failed?: (thrown: unknown) => void
}

/** Consumers are what the test says; the server itself is the one replica, and the log says what is alive. */
export async function openControlled(
  consumers: { rows: readonly ConsumerRow[] },
  options: ControlledOptions = {},
  after?: IssueFixture,
) {
  const { jwtAlgorithms = ["ES256"] } = options
  // A process of its own: it knows what the store says.
  const fixture = await openIssueFixture({ jwtAlgorithms, ...(after === undefined ? {} : { after }) })
  const { store, keys, clock, trust, issuing, jwtKeys } = fixture
  const moves: string[] = []
  const renewals = new RenewOrders()
  const isJwt = options.kind === "jwt"
  const audit = store.auditLog
  const random = makeSystemRandom()
  const root = { ...ROOT, subject: { commonName: "Test", organization: undefined } }
  const publishAhead = options.publishAhead ?? JWT_SCHEDULE.publishAhead
  const deps: ControllerDeps = {
    trust,
    keys,
    clock,
    audit,
    random,
    authority: isJwt
      ? jwtAuthority({ keys, audit, clock, algorithms: jwtAlgorithms, jwtKeys })
      : rootAuthority({ trust, keys, audit, clock, random, root, issuing }),
    guard: makeClockGuard(clock),
    holder: options.holder ?? "server-1",
    terms: () => ({
      skew: SKEW,
      readerWait: 0,
      canarySoak: 60,
      maxSvidTtl: 3600,
      publishAhead: isJwt ? publishAhead : 0,
    }),
    schedule: options.schedule ?? (() => (isJwt ? jwtDue(trust, jwtAlgorithms, publishAhead) : undefined)),
    order: (state, now) => {
      if (!isJwt) renewals.set(renewOrder(state, now, { share: 0.2, interval: 30 }))
    },
    changed: () => new Promise(() => undefined),
    events: { moved: (from, to) => void moves.push(`${from} ${to}`), failed: options.failed ?? raise },
    evidence: async () => {
      const evidence = await evidenceNow()
      return isJwt ? jwtEvidence(evidence, trust.record(), jwtKeys.signsWith()) : evidence
    },
  }
  const evidenceNow = async (): Promise<RotationEvidence> => {
    const now = clock.now()
    const { held, lastTokens } = await store.holdings.readHoldings(now - SKEW) // what expired just now is not over by every clock
    const lastExpiry = new Map(lastTokens)
    const { roots } = trust.record()
    for (const { roots: chains } of held) {
      for (const { keyId: name, notAfter } of chains) {
        const id = roots.find(({ keyId }) => keyId === name)
        if (id !== undefined)
          lastExpiry.set(hexId(id.certificate), Math.max(notAfter, lastExpiry.get(hexId(id.certificate)) ?? 0))
      }
    }
    const epoch = trust.snapshot().epoch
    const replica = { id: "server-1", epoch, signsWith: issuing.signsWith(), leaseUntil: now + 10 }
    return { consumers: consumers.rows, replicas: [replica], lastExpiry }
  }
  return {
    fixture,
    trust,
    issuing,
    deps,
    moves,
    renewals,
    operate: makeOperateRotation(deps),
    controller: makeRotationController(deps),
    describe: makeDescribeRotation(deps),
    phase: () => trust.record().rotations[deps.authority.kind].phase,
  }
}

function hexId(certificate: Uint8Array): string {
  return rootId({ certificate })
}

function jwtDue(trust: TrustState, algorithms: readonly JwtKeyAlgorithm[], publishAhead: number) {
  return { ...WISH, due: jwtRotationDue(trust.record().jwtKeys, { ...JWT_SCHEDULE, publishAhead, algorithms }) }
}

function raise(...thrown: readonly unknown[]): never {
  throw thrown.at(-1)
}
