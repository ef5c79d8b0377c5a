import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { ConsumerBook } from "../../src/app/deliver/consumer-book.ts"
import { Subscribers } from "../../src/app/deliver/consumers.ts"
import { makeReadEvidence } from "../../src/app/rotate/read-evidence.ts"
import type { ConsumerRow } from "../../src/core/authority/evidence.ts"
import { type Holder, holderOf } from "../../src/core/authority/holder.ts"
import { parseTrustDomain, parseWorkloadId, serverId } from "../../src/core/spiffe/id.ts"
import type { ConsumerReport } from "../../src/ports/identity-authority.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "./issuance-fixtures.ts"

export const NOW = FIXTURE_NOW
export const ISSUER = fixtureIntent("0").authorityId
export const WEB = parseWorkloadId("spiffe://prod.example/ns/shop/sa/web")
export const OWN = serverId(parseTrustDomain("prod.example"))

/** Evidence over a store in memory and a clock that a test sets. */
export async function openEvidence({
  unloggedUntil = 0,
  skew = 0,
  tokenKeys = [] as readonly string[],
  turn = async () => {},
} = {}) {
  const store = openMemoryStore()
  const issuer = { authorityId: ISSUER, rootKeyId: "root-1", certificate: new Uint8Array(3), notAfter: NOW + 86_400 }
  await store.authorityJournal.adoptIssuing(issuer)
  const clock = { time: NOW, now: (): number => clock.time }
  const book = new ConsumerBook(clock.now)
  const subscribers = new Subscribers(clock.now, book)
  const read = makeReadEvidence({
    holdings: { readHoldings: (now) => store.holdings.readHoldings(now) },
    subscribers,
    book,
    clock,
    roots: () => [],
    tokenKeys: () => tokenKeys,
    unloggedUntil,
    replicas: () => [],
    ownId: OWN,
    skew,
    turn,
  })
  let serials = 0
  return {
    store,
    clock,
    book,
    subscribers,
    read,
    rows: async (): Promise<readonly ConsumerRow[]> => (await read()).consumers,
    /** Log an SVID for the holder, and tell the book as the pipeline does. */
    issue: async (holder: Holder, life: number, change: Partial<Intent> = {}, quoted: number | undefined = 0) => {
      const serial = `${++serials}`
      const requester = { ...holder, evidenceDigest: Buffer.from(holder.proof.padEnd(64, "0"), "hex") }
      const times = { createdAt: clock.time, notAfter: clock.time + life }
      const intent = fixtureIntent(serial, { spiffeId: WEB, requester, ...times, ...change })
      await store.issuanceLog.recordIntent(intent, fixtureGrant(serial), NOW, NO_BANS)
      if (intent.kind === "x509") book.issued(holderOf(requester), intent.notAfter, quoted)
    },
  }
}

export type EvidenceUnderTest = Awaited<ReturnType<typeof openEvidence>>

export function pod(name: string): Holder {
  const place = { cluster: "main", namespace: "shop", serviceAccount: "web", node: "node-1" }
  return { ...place, pod: name, podUid: `uid-${name}`, proof: "" }
}

/** What matters of a row. */
export function brief({ kind, grade, live, epoch, nackReason, notAfter }: ConsumerRow) {
  return { kind, grade, live, epoch, nackReason, left: notAfter - NOW }
}

export const WEB_0 = pod("web-0")
/** Of one that is gone. */
export const LEASE = { grade: "lease", live: false, epoch: 0, nackReason: undefined }

/** What an agent says of its proxy. */
export function envoyReport(epoch: number, change: Partial<ConsumerReport> = {}): ConsumerReport {
  return { name: "envoy", kind: "sds", epoch, nackReason: undefined, ...change }
}

/** An agent of `web-0` that was sent epoch 7. */
export function enterAgent({ subscribers }: EvidenceUnderTest, sent = 7) {
  const entry = subscribers.enter("agent", WEB_0, "agent")
  entry.sent(sent)
  return entry
}
