import { makeSystemRandom } from "../../../src/adapters/system/random.ts"
import { openIssuingAuthorities } from "../../../src/app/authority/issuing-authorities.ts"
import { rootId } from "../../../src/app/authority/root-id.ts"
import { openTrustState, type TrustState } from "../../../src/app/authority/trust-state.ts"
import { RenewOrders } from "../../../src/app/deliver/renew-orders.ts"
import { makeClockGuard } from "../../../src/app/issue/clock-guard.ts"
import { makeOperateRotation } from "../../../src/app/rotate/operate-rotation.ts"
import { type ControllerDeps, makeRotationController } from "../../../src/app/rotate/rotation-controller.ts"
import type { ConsumerRow } from "../../../src/core/authority/evidence.ts"
import { watchedKeys } from "../fake-keys.ts"
import { type IssueFixture, openIssueFixture } from "../issue-fixture.ts"

const SKEW = 30
export const ALICE = { actor: "alice", requestId: "q1" }
export const WISH = { auto: true, canary: { namespaces: [], prefixes: [] } }

/** A server's rotation over the fixture's store, keys and clock. */
export type Controlled = Awaited<ReturnType<typeof openControlled>>

export interface ControlledOptions {
  readonly schedule?: ControllerDeps["schedule"]
  readonly holder?: string
  readonly failed?: (thrown: unknown) => void
}

/** Consumers are what the test says; the server itself is the one replica, and the log says what is alive. */
export async function openControlled(
  consumers: { rows: readonly ConsumerRow[] },
  options: ControlledOptions = {},
  after?: IssueFixture,
) {
  const fixture = after ?? (await openIssueFixture())
  const { store, keys, clock } = fixture
  // A process of its own: it knows what the store says.
  const trust = after === undefined ? fixture.trust : await openTrustState(store.authorityJournal)
  const issuing = after === undefined ? fixture.issuing : await reopenIssuing(fixture, trust)
  const moves: string[] = []
  const renewals = new RenewOrders()
  const deps: ControllerDeps = {
    trust,
    keys,
    clock,
    issuing,
    audit: store.auditLog,
    random: makeSystemRandom(),
    guard: makeClockGuard(clock),
    holder: options.holder ?? "server-1",
    root: {
      algorithm: "ec-p256",
      subject: { commonName: "Test", organization: undefined },
      backdate: 3600,
      ttl: 864_000,
    },
    terms: () => ({ skew: SKEW, readerWait: 0, canarySoak: 60, maxSvidTtl: 3600 }),
    schedule: options.schedule ?? (() => undefined),
    renewals,
    waves: () => ({ share: 0.2, interval: 30 }),
    changed: () => new Promise(() => undefined),
    events: { moved: (from, to) => void moves.push(`${from} ${to}`), failed: options.failed ?? raise },
    evidence: async () => {
      const now = clock.now()
      const { held } = await store.holdings.readHoldings(now - SKEW) // what expired just now is not over by every clock
      const lastExpiry = new Map<string, number>()
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
    },
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
    phase: () => trust.record().rotations.x509.phase,
  }
}

function hexId(certificate: Uint8Array): string {
  return rootId({ keyId: "", certificate, notAfter: 0, state: "active" })
}

function reopenIssuing({ store, keys, clock }: IssueFixture, trust: TrustState) {
  return openIssuingAuthorities({
    trust,
    keys,
    ephemeral: watchedKeys(() => undefined),
    journal: store.authorityJournal,
    audit: store.auditLog,
    clock,
    guard: makeClockGuard(clock),
    random: makeSystemRandom(),
    events: { issuingAdopted: () => undefined, jwtKeyChanged: () => undefined, stepFailed: raise },
    plan: {
      algorithm: "ec-p256",
      backdate: 3600,
      subject: { commonName: "Test", organization: undefined },
      ttl: 86_400,
      serialPrefix: 1,
    },
  })
}

function raise(...thrown: readonly unknown[]): never {
  throw thrown.at(-1)
}
